package mixed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.storm.task.TopologyContext;

/** What one task saw, a line each. */
final class Seen {
  private final Path path;

  Seen(Map<String, Object> conf, TopologyContext context) {
    path = Path.of((String) conf.get("folder"), context.getThisComponentId() + ".txt");
  }

  void write(String line) {
    try {
      Files.writeString(
          path, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** A value with its class, and those in it. */
  static String text(Object value) {
    if (value == null) {
      return "null";
    }
    String name = value.getClass().getSimpleName();
    if (value instanceof byte[] bytes) {
      return name + Arrays.toString(bytes);
    }
    if (value instanceof List<?> list) {
      return name + list.stream().map(Seen::text).toList();
    }
    if (value instanceof Map<?, ?> map) {
      Map<String, String> texts = new TreeMap<>();
      map.forEach((key, item) -> texts.put(text(key), text(item)));
      return name + texts;
    }
    return name + " " + value;
  }
}
