package io.heronshim.instance;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What the supervisor tells a process that it starts: one JSON line on standard input.
 *
 * @param executors task ids of each executor of this process
 * @param packageDir folder of the extracted package; empty when the topology has none
 * @param silenceLimitNs a stream manager that is silent for longer is given up
 */
record ChildStart(
    String topologyId,
    int container,
    String process,
    String component,
    long incarnation,
    String token,
    String endpoint,
    List<List<Integer>> executors,
    String packageDir,
    long silenceLimitNs) {
  private static final int START_BYTES_MAX = 32 << 20;

  /** Reads the line; throws IllegalArgumentException when it is not one. */
  static ChildStart read(InputStream in) throws IOException {
    byte[] line = in.readNBytes(START_BYTES_MAX + 1);
    if (line.length > START_BYTES_MAX) {
      throw new IllegalArgumentException("start line is over " + START_BYTES_MAX + " bytes");
    }
    try {
      return parse(
          JsonParser.parseString(new String(line, StandardCharsets.UTF_8)).getAsJsonObject());
    } catch (JsonParseException | IllegalStateException | NullPointerException error) {
      throw new IllegalArgumentException("start line cannot be read: " + error, error);
    }
  }

  private static ChildStart parse(JsonObject start) {
    String process = start.get("process").getAsString();
    List<List<Integer>> executors = new ArrayList<>();
    for (JsonElement each : start.getAsJsonObject("plan").getAsJsonArray("processes")) {
      JsonObject plan = each.getAsJsonObject();
      if (plan.get("id").getAsString().equals(process)) {
        for (JsonElement executor : plan.getAsJsonArray("executors")) {
          List<Integer> tasks = new ArrayList<>();
          executor.getAsJsonArray().forEach(task -> tasks.add(task.getAsInt()));
          executors.add(tasks);
        }
      }
    }
    if (executors.isEmpty()) {
      throw new IllegalArgumentException("process " + process + " is not in the container's plan");
    }
    JsonObject launch = start.getAsJsonObject("launch");
    JsonElement limitS = launch.get("liveness_limit_s");
    return new ChildStart(
        launch.get("topology_id").getAsString(),
        start.get("container").getAsInt(),
        process,
        start.get("component").getAsString(),
        start.get("incarnation").getAsLong(),
        start.get("token").getAsString(),
        start.get("endpoint").getAsString(),
        executors,
        start.get("package_dir").getAsString(),
        limitS == null ? Long.MAX_VALUE : (long) (limitS.getAsDouble() * 1e9));
  }

  /** All tasks of this process, ascending. */
  List<Integer> tasks() {
    return executors.stream().flatMap(List::stream).sorted().toList();
  }
}
