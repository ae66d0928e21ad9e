package io.heronshim.storm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import io.heronshim.Vectors;
import io.heronshim.instance.Plan;
import io.heronshim.instance.TaskContext;
import io.heronshim.wire.v1.PhysicalPlan;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.storm.task.TopologyContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StormContextsTest {
  private static final int TASK = 3;

  @TempDir Path folder;

  /** A MessagePack map of one text. */
  private static ByteString map(String key, String value) {
    String bytes = "\201" + (char) (0xa0 | key.length()) + key + (char) (0xa0 | value.length());
    return ByteString.copyFrom((bytes + value).getBytes(StandardCharsets.ISO_8859_1));
  }

  /** Of the recorded plan, with configurations of the user's. */
  private static Plan plan() throws Exception {
    byte[] recorded =
        Vectors.hex(
            Vectors.cases("exchange", "frames").stream()
                .filter(frame -> frame.get("kind").getAsString().equals("PLAN"))
                .findFirst()
                .get(),
            "payload");
    PhysicalPlan.Builder wire = PhysicalPlan.parseFrom(recorded).toBuilder();
    wire.getTopologyBuilder().setUserConfig(map("colour", "grey"));
    wire.getTopologyBuilder().getComponentsBuilderList().stream()
        .filter(component -> component.getId().equals("split"))
        .forEach(component -> component.setUserConfig(map("colour", "white")));
    return Plan.read(wire.build().toByteArray());
  }

  private StormContexts contexts(Plan plan) {
    return new StormContexts(
        plan, "words-1", folder, StormTopologyFiles.read(plan, "words-1", folder));
  }

  @Test
  void componentGetsItsOwnConfigurationOnTop() throws Exception {
    StormContexts contexts = contexts(plan());
    assertEquals("white", contexts.componentConf("split").get("colour"));
    assertEquals("grey", contexts.componentConf("count").get("colour"));
  }

  @Test
  void gaugeThatThrowsTakesNoOtherWithIt() throws Exception {
    Plan plan = plan();
    StormContexts contexts = contexts(plan);
    TaskContext task = new TaskContext(plan, TASK, "split", new HashMap<>(), 1);
    TopologyContext context = contexts.make(task, false, new AtomicBoolean());
    context.registerGauge("good", () -> 7);
    context.registerGauge(
        "missing",
        () -> {
          throw new NoClassDefFoundError("Missing");
        });
    context.registerGauge(
        "deep",
        () -> {
          throw new StackOverflowError();
        });
    assertEquals(Map.of("good", 7.0), contexts.gauges(TASK));
  }
}
