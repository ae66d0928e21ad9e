package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.heronshim.codec.DataBatches;
import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.RowWriter;
import io.heronshim.stream.Frame;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.wire.v1.DataBatch;
import io.heronshim.wire.v1.ErrorReport;
import io.heronshim.wire.v1.MetricsReport;
import io.heronshim.wire.v1.PhysicalPlan;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ExecutorTest {
  private static final long PATIENCE_S = 60;
  private static final List<Integer> TASKS = List.of(3, 4);
  private final List<String> calls = Collections.synchronizedList(new ArrayList<>());
  private final CountDownLatch failed = new CountDownLatch(1);
  private final ChildStart start =
      new ChildStart(
          "words-1700000000", 1, "split-3", "split", 17, "00", "ipc:///none", List.of(TASKS), "",
          Long.MAX_VALUE);
  private final PhysicalPlan wire = plan();

  /** The recorded plan, with two tasks of split in one executor. */
  private static PhysicalPlan plan() {
    PhysicalPlan.Builder plan = InstanceRuntimeTest.plan("at_least_once", false).toBuilder();
    plan.getContainersBuilderList().stream()
        .flatMap(container -> container.getProcessesBuilderList().stream())
        .filter(process -> process.getId().equals("split-3"))
        .forEach(process -> process.getExecutorsBuilder(0).clearTasks().addAllTasks(TASKS));
    return plan.build();
  }

  /** A bolt that tells what is called. */
  private class FakeBolt implements BoltComponent {
    final int task;

    FakeBolt(int task) {
      this.task = task;
    }

    @Override
    public void prepare(BoltCollector collector) {
      calls.add("prepare " + task);
    }

    @Override
    public void execute(InputTuple input) {
      calls.add("execute " + task);
    }

    @Override
    public void cleanup() {
      calls.add("cleanup " + task);
    }

    @Override
    public Map<String, Double> counters() {
      return Map.of();
    }

    @Override
    public Map<String, Double> gauges() {
      return Map.of();
    }
  }

  /** Makes the bolt of a task. */
  private interface Bolts {
    BoltComponent make(int task);
  }

  private record FakeHost(Bolts bolts) implements ComponentHost {
    @Override
    public SpoutComponent spout(TaskContext context) {
      throw new UnsupportedOperationException();
    }

    @Override
    public BoltComponent bolt(TaskContext context) {
      return bolts.make(context.task());
    }

    @Override
    public Chooser grouping(Plan plan, int task, Plan.Consumer consumer, List<Integer> targets) {
      throw new UnsupportedOperationException();
    }

    @Override
    public OpaqueValues opaqueValues() {
      return null;
    }
  }

  private InstanceRuntime runtime(Bolts bolts) {
    InstanceRuntime runtime =
        new InstanceRuntime(
            start, new SplittableRandom(1), new InstanceRuntimeTest.NoWakeup(),
            plan -> new FakeHost(bolts));
    runtime.onFrame(FrameHeader.of(Kind.PLAN, 0, 0, 1), wire.toByteArray(), runtime.nowNs());
    return runtime;
  }

  private Executor executor(InstanceRuntime runtime) {
    Plan plan = Plan.read(wire.toByteArray());
    return new Executor(runtime, start, plan, TASKS, error -> failed.countDown());
  }

  private static void send(InstanceRuntime runtime, int task, int rows) throws Exception {
    RowWriter writer = new RowWriter();
    writer.arrayHeader(rows);
    for (int row = 0; row < rows; row++) {
      writer.row(List.of("heron"), List.of("line"), null);
    }
    DataBatch batch =
        DataBatch.newBuilder()
            .setComponent("lines")
            .setStream("default")
            .setRowCount(rows)
            .setRows(ByteString.copyFrom(writer.copy(0, writer.size())))
            .build();
    runtime.onFrame(FrameHeader.of(Kind.DATA, task, 2, 1), batch.toByteArray(), runtime.nowNs());
  }

  @Test
  void timeThatOneTaskTookIsNotTheOthers() throws Exception {
    int slowRows = 40;
    CountDownLatch slowDone = new CountDownLatch(slowRows);
    InstanceRuntime runtime =
        runtime(
            task ->
                new FakeBolt(task) {
                  @Override
                  public void execute(InputTuple input) {
                    super.execute(input);
                    if (task == 3) {
                      sleep(2);
                      slowDone.countDown();
                    }
                  }
                });
    send(runtime, 3, slowRows);
    send(runtime, 4, 5000);
    Executor executor = executor(runtime);
    executor.begin();
    assertTrue(slowDone.await(PATIENCE_S, TimeUnit.SECONDS));
    executor.stop();
    assertTrue(executor.join(1000 * PATIENCE_S));
    // A task that has no time of its own left executes one row in each turn.
    List<String> till = calls.subList(0, calls.lastIndexOf("execute 3"));
    assertTrue(Collections.indexOfSubList(till, List.of("execute 4", "execute 4")) >= 0);
    assertEquals(1, failed.getCount());
  }

  /** Runs until the author's code ended the process; returns what is reported of it. */
  private List<ErrorReport> failWith(Bolts bolts) throws Exception {
    InstanceRuntime runtime = runtime(bolts);
    Executor executor = executor(runtime);
    executor.begin();
    assertTrue(failed.await(PATIENCE_S, TimeUnit.SECONDS));
    assertTrue(executor.join(1000 * PATIENCE_S));
    List<ErrorReport> errors = new ArrayList<>();
    for (Frame frame : runtime.end(runtime.nowNs())) {
      if (frame.kind() == Kind.METRICS) {
        errors.addAll(
            DataBatches.parse(MetricsReport.parser(), frame.payload(), "MetricsReport")
                .getErrorsList());
      }
    }
    return errors;
  }

  @Test
  void onlyWhatWasOpenedIsClosed() throws Exception {
    List<ErrorReport> errors =
        failWith(
            task ->
                new FakeBolt(task) {
                  @Override
                  public void prepare(BoltCollector collector) {
                    super.prepare(collector);
                    if (task == 4) {
                      throw new IllegalStateException("not I");
                    }
                  }
                });
    assertEquals(List.of("prepare 3", "prepare 4", "cleanup 3"), calls);
    assertEquals(List.of(4), errors.stream().map(ErrorReport::getTask).toList());
  }

  @Test
  void whatNoTasksCallThrewIsReportedToo() throws Exception {
    List<ErrorReport> errors =
        failWith(
            task ->
                new FakeBolt(task) {
                  @Override
                  public Map<String, Double> gauges() {
                    throw new AssertionError("this gauge is broken");
                  }
                });
    assertEquals(1, errors.size());
    assertTrue(errors.get(0).getMessage().contains("this gauge is broken"));
  }

  @Test
  void whatTheMakingOfAComponentThrewIsReported() throws Exception {
    List<ErrorReport> errors =
        failWith(
            task -> {
              throw new StackOverflowError();
            });
    assertEquals(List.of(), calls);
    assertEquals(List.of(3), errors.stream().map(ErrorReport::getTask).toList());
    assertTrue(errors.get(0).getMessage().contains("StackOverflowError"));
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    }
  }
}
