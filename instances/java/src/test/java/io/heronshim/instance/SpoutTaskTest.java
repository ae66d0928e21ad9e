package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.wire.v1.PhysicalPlan;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class SpoutTaskTest {
  private static final int TASK = 2;
  private final List<Object> failed = new ArrayList<>();

  /** Of lines-2 of the recorded exchange. */
  private final InstanceRuntime runtime =
      new InstanceRuntime(
          new ChildStart(
              "words-1700000000", 1, "lines-2", "lines", 17, "00", "ipc:///none",
              List.of(List.of(TASK)), "", Long.MAX_VALUE),
          new SplittableRandom(1),
          new InstanceRuntimeTest.NoWakeup(),
          plan -> null);

  /** Emits the values that it is given, each once. */
  private final class FakeSpout implements SpoutComponent {
    private final List<List<Object>> rows;
    private SpoutCollector collector;
    private int next;

    FakeSpout(List<List<Object>> rows) {
      this.rows = rows;
    }

    @Override
    public void open(SpoutCollector out) {
      collector = out;
    }

    @Override
    public void activate() {}

    @Override
    public void deactivate() {}

    @Override
    public void nextTuple() {
      if (next < rows.size()) {
        collector.emit("default", rows.get(next), next++);
      }
    }

    @Override
    public void ack(Object id, double openMs) {}

    @Override
    public void fail(Object id) {
      failed.add(id);
    }

    @Override
    public void close() {}

    @Override
    public Map<String, Double> counters() {
      return Map.of();
    }

    @Override
    public Map<String, Double> gauges() {
      return Map.of();
    }
  }

  private SpoutTask open(FakeSpout spout) {
    PhysicalPlan wire = InstanceRuntimeTest.plan("at_least_once", false);
    runtime.onFrame(FrameHeader.of(Kind.PLAN, 0, 0, 1), wire.toByteArray(), 1);
    Plan plan = Plan.read(wire.toByteArray());
    TaskContext context = new TaskContext(plan, TASK, "lines", new HashMap<>(), 1);
    Options options = new Options(wire.getTopology(), plan.component("lines"));
    SpoutTask task =
        new SpoutTask(runtime, context, options, spout, false, new SplittableRandom(2));
    runtime.add(task);
    Map<String, Route> routes = Route.make(plan, TASK, null, new SplittableRandom(3));
    task.open(new Emitter(runtime, context, routes, new SplittableRandom(4)));
    return task;
  }

  @Test
  void rowThatCannotBeWrittenFailsAndIsNotPending() {
    List<Object> changing =
        new AbstractList<>() {
          @Override
          public Object get(int index) {
            throw new ConcurrentModificationException();
          }

          @Override
          public int size() {
            return 1;
          }
        };
    SpoutTask task =
        open(new FakeSpout(List.of(changing, List.of(new Object()), List.of("a line"))));
    for (int turn = 0; turn < 5; turn++) {
      task.step(runtime.nowNs());
    }
    assertEquals(List.of(0, 1), failed);
    assertEquals(1, task.pending());
  }
}
