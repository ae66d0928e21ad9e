package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import io.heronshim.Vectors;
import io.heronshim.codec.DataBatches;
import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.RowWriter;
import io.heronshim.stream.Frame;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.stream.OutcomeBuffer;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.ComponentKind;
import io.heronshim.wire.v1.Credit;
import io.heronshim.wire.v1.CreditRequest;
import io.heronshim.wire.v1.DataBatch;
import io.heronshim.wire.v1.ErrorCode;
import io.heronshim.wire.v1.Grouping;
import io.heronshim.wire.v1.GroupingKind;
import io.heronshim.wire.v1.InputStream;
import io.heronshim.wire.v1.Language;
import io.heronshim.wire.v1.LossNotice;
import io.heronshim.wire.v1.MetricsReport;
import io.heronshim.wire.v1.NamedValue;
import io.heronshim.wire.v1.Outcomes;
import io.heronshim.wire.v1.OutputStream;
import io.heronshim.wire.v1.PhysicalPlan;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class InstanceRuntimeTest {
  private static final long ROOT = 0x0002_0000_0000_0001L;
  private static final long EDGE = 0x1234;

  /** Of split-3 of the recorded exchange. */
  private final InstanceRuntime runtime =
      new InstanceRuntime(
          new ChildStart(
              "words-1700000000", 1, "split-3", "split", 17, "00", "ipc:///none",
              List.of(List.of(3)), "", Long.MAX_VALUE),
          new SplittableRandom(1),
          new NoWakeup(),
          plan -> null);

  /** Of a runtime without threads. */
  static final class NoWakeup implements InstanceRuntime.Wakeup {
    @Override
    public void wakeIo() {}

    @Override
    public void wakeExecutors() {}

    @Override
    public void start(Plan plan) {}
  }

  private BoltCollector collector;

  static List<JsonObject> damaged() {
    return Vectors.cases("refusals", "payloads").stream()
        // DATA and OUTCOMES are read by executors and spouts: PayloadVectorsTest.
        .filter(vector -> !Kind.carriesTuples(vector.get("kind").getAsInt()))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("damaged")
  void damagedPayloadIsRefusedByItsReader(JsonObject vector) {
    FrameHeader header = FrameHeader.of(vector.get("kind").getAsInt(), 3, 1, 1);
    byte[] payload = Vectors.hex(vector, "payload");
    open(plan("at_least_once", false), (input, out) -> {});
    RemoteProtocolError error =
        assertThrows(RemoteProtocolError.class, () -> runtime.handle(header, payload, 1));
    assertEquals("ERROR_CODE_" + vector.get("code").getAsString(), error.code().name());
  }

  /** Lines, split and count; with a cycle split also takes what it emits itself. */
  static PhysicalPlan plan(String delivery, boolean hasCycle) {
    JsonObject recorded =
        Vectors.cases("exchange", "frames").stream()
            .filter(frame -> frame.get("kind").getAsString().equals("PLAN"))
            .findFirst()
            .get();
    PhysicalPlan.Builder plan;
    try {
      plan = PhysicalPlan.parseFrom(Vectors.hex(recorded, "payload")).toBuilder();
    } catch (InvalidProtocolBufferException error) {
      throw new AssertionError(error);
    }
    byte[] options = ("\201\250delivery" + (char) (0xa0 | delivery.length()) + delivery)
        .getBytes(StandardCharsets.ISO_8859_1);
    plan.getTopologyBuilder().setOptions(ByteString.copyFrom(options));
    for (Component.Builder component : plan.getTopologyBuilder().getComponentsBuilderList()) {
      if (hasCycle && component.getId().equals("split")) {
        component.addOutputs(OutputStream.newBuilder().setId("again").addFields("word"));
        component.addInputs(
            InputStream.newBuilder()
                .setComponent("split")
                .setStream("again")
                .setGrouping(
                    Grouping.newBuilder().setKind(GroupingKind.GROUPING_KIND_SHUFFLE)));
      }
    }
    return plan.build();
  }

  private BoltTask open(PhysicalPlan wire, BiConsumer<InputTuple, BoltCollector> execute) {
    return open(wire, execute, null);
  }

  private BoltTask open(
      PhysicalPlan wire, BiConsumer<InputTuple, BoltCollector> execute, OpaqueValues opaque) {
    runtime.onFrame(FrameHeader.of(Kind.PLAN, 0, 0, 1), wire.toByteArray(), 1);
    Plan plan = Plan.read(wire.toByteArray());
    TaskContext context = new TaskContext(plan, 3, "split", new HashMap<>(), 1);
    Options options = new Options(wire.getTopology(), plan.component("split"));
    assertEquals(ComponentKind.COMPONENT_KIND_BOLT, plan.component("split").getKind());
    BoltTask task = new BoltTask(runtime, context, options, new FakeBolt(execute), opaque);
    runtime.add(task);
    Map<String, Route> routes = Route.make(plan, 3, null, new SplittableRandom(2));
    task.open(new Emitter(runtime, context, routes, new SplittableRandom(3)));
    return task;
  }

  private final class FakeBolt implements BoltComponent {
    private final BiConsumer<InputTuple, BoltCollector> execute;

    FakeBolt(BiConsumer<InputTuple, BoltCollector> execute) {
      this.execute = execute;
    }

    @Override
    public void prepare(BoltCollector out) {
      collector = out;
    }

    @Override
    public void execute(InputTuple input) {
      execute.accept(input, collector);
    }

    @Override
    public void cleanup() {}

    @Override
    public Map<String, Double> counters() {
      return Map.of();
    }

    @Override
    public Map<String, Double> gauges() {
      return Map.of();
    }
  }

  private void sendLine() throws Exception {
    send("heron crane", null);
  }

  private void send(Object value, OpaqueValues opaque) throws Exception {
    RowWriter writer = new RowWriter();
    writer.arrayHeader(1);
    writer.row(List.of(value), List.of("line"), opaque);
    DataBatch batch =
        DataBatch.newBuilder()
            .setComponent("lines")
            .setStream("default")
            .setRowCount(1)
            .setRows(ByteString.copyFrom(writer.copy(0, writer.size())))
            .setRoots(OutcomeBuffer.column(new long[] {ROOT}, 1))
            .setEdges(OutcomeBuffer.column(new long[] {EDGE}, 1))
            .build();
    runtime.onFrame(FrameHeader.of(Kind.DATA, 3, 2, 1), batch.toByteArray(), runtime.nowNs());
  }

  /** Lets the task emit. */
  private void grant() {
    Credit credit = Credit.newBuilder().addTasks(1).addBytes(1 << 16).build();
    runtime.onFrame(FrameHeader.of(Kind.CREDIT, 0, 0, 1), credit.toByteArray(), runtime.nowNs());
  }

  /** Runs a task until nothing happens, and lets all leave that may; reports of metrics too. */
  private List<Frame> runAll(BoltTask task) {
    while (task.step(runtime.nowNs())) {
      runtime.afterStep(false);
    }
    runtime.afterStep(true);
    return runtime.turn(true, runtime.nowNs());
  }

  private List<Frame> run(BoltTask task) {
    return runAll(task).stream().filter(frame -> frame.kind() != Kind.METRICS).toList();
  }

  private static MetricsReport report(List<Frame> frames) {
    Frame last = frames.stream().filter(frame -> frame.kind() == Kind.METRICS).findFirst().get();
    return DataBatches.parse(MetricsReport.parser(), last.payload(), "MetricsReport");
  }

  private static long xor(List<Frame> frames) {
    Frame outcome =
        frames.stream().filter(frame -> frame.kind() == Kind.OUTCOMES).findFirst().get();
    Outcomes outcomes = DataBatches.outcomes(outcome.payload());
    assertEquals(ROOT, OutcomeBuffer.numbers(outcomes.getRoots())[0]);
    assertTrue(outcomes.getKinds().isEmpty());
    return OutcomeBuffer.numbers(outcomes.getXors())[0];
  }

  private static long edges(List<Frame> frames) {
    long edges = 0;
    for (Frame frame : frames) {
      if (frame.kind() == Kind.DATA) {
        DataBatch batch = DataBatches.parse(DataBatch.parser(), frame.payload(), "DataBatch");
        for (long edge : OutcomeBuffer.numbers(batch.getEdges())) {
          edges ^= edge;
        }
      }
    }
    return edges;
  }

  @Test
  void ackIsTheRowsEdgeAndThoseOfItsChildren() throws Exception {
    BoltTask task =
        open(
            plan("at_least_once", false),
            (input, out) -> {
              out.emit("default", List.of(input), List.of("heron"));
              out.emit("default", List.of(input), List.of("crane"));
              out.ack(input.root(0), input.edge(0) ^ input.children());
            });
    grant();
    sendLine();
    List<Frame> frames = run(task);
    assertEquals(EDGE ^ edges(frames), xor(frames));
  }

  @Test
  void exceptionFailsTheTupleAndTheTaskGoesOn() throws Exception {
    List<String> seen = new ArrayList<>();
    BoltTask task =
        open(
            plan("at_least_once", false),
            (input, out) -> {
              seen.add((String) input.values().get(0));
              throw new IllegalStateException("no");
            });
    sendLine();
    sendLine();
    List<Frame> frames = run(task);
    assertEquals(2, seen.size());
    long fails =
        frames.stream()
            .filter(frame -> frame.kind() == Kind.OUTCOMES)
            .map(frame -> DataBatches.outcomes(frame.payload()).getKinds())
            .filter(kinds -> kinds.size() == 1 && kinds.byteAt(0) == 1)
            .count();
    assertEquals(2, fails);
  }

  @Test
  void valueThatCannotBeReadIsReportedAndTheTaskGoesOn() throws Exception {
    OpaqueValues unreadable =
        new OpaqueValues() {
          @Override
          public byte[] write(Object value) {
            return new byte[] {7};
          }

          @Override
          public Object read(byte[] bytes) {
            throw new NoClassDefFoundError("app.Missing");
          }
        };
    PhysicalPlan.Builder wire = plan("at_least_once", false).toBuilder();
    wire.getTopologyBuilder()
        .getComponentsBuilderList()
        .forEach(component -> component.setLanguage(Language.LANGUAGE_JAVA));
    List<Object> seen = new ArrayList<>();
    BoltTask task = open(wire.build(), (input, out) -> seen.addAll(input.values()), unreadable);
    send(Optional.empty(), unreadable);
    sendLine();
    List<Frame> frames = runAll(task);
    assertEquals(List.of("heron crane"), seen);
    assertTrue(frames.stream().anyMatch(frame -> frame.kind() == Kind.LOSS_NOTICE));
    assertEquals(1, report(frames).getErrorsCount());
    String message = report(frames).getErrors(0).getMessage();
    assertTrue(message.contains("NoClassDefFoundError"), message);
  }

  private ErrorCode refused(int kind, int destination, byte[] payload) {
    return assertThrows(
            RemoteProtocolError.class,
            () ->
                runtime.onFrame(
                    FrameHeader.of(kind, destination, 2, 1), payload, runtime.nowNs()))
        .code();
  }

  private static byte[] request(int task, long bytes) {
    return CreditRequest.newBuilder().addTasks(task).addBytes(bytes).build().toByteArray();
  }

  private static byte[] credit(long bytes) {
    return Credit.newBuilder().addTasks(1).addBytes(bytes).build().toByteArray();
  }

  @Test
  void faultsOfTheStreamManagerEndTheLinkAndThoseOfTasksDoNot() throws Exception {
    open(plan("at_least_once", false), (input, out) -> {});
    byte[] damaged = {(byte) 0xff};
    assertEquals(ErrorCode.ERROR_CODE_MALFORMED, refused(Kind.CREDIT, 0, damaged));
    runtime.onFrame(FrameHeader.of(Kind.OUTCOMES, 3, 2, 1), damaged, runtime.nowNs());
    assertEquals(ErrorCode.ERROR_CODE_TOO_LARGE, refused(Kind.CREDIT_REQUEST, 0, request(3, -1)));
    assertEquals(
        ErrorCode.ERROR_CODE_TOO_LARGE,
        refused(Kind.CREDIT_REQUEST, 0, request(3, FrameHeader.PAYLOAD_BYTES_MAX + 1)));
    assertEquals(ErrorCode.ERROR_CODE_TASK, refused(Kind.CREDIT_REQUEST, 0, request(1, 1024)));
    assertEquals(ErrorCode.ERROR_CODE_TASK, refused(Kind.DATA, 1, damaged));
  }

  @Test
  void creditBeyondAWindowAndAFrameIsRefused() {
    open(plan("at_least_once", false), (input, out) -> {});
    runtime.onFrame(FrameHeader.of(Kind.CREDIT, 0, 0, 1), credit(65 << 20), runtime.nowNs());
    for (long bytes : new long[] {1, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
      assertEquals(ErrorCode.ERROR_CODE_MALFORMED, refused(Kind.CREDIT, 0, credit(bytes)));
    }
    runtime.onNewLink();
    runtime.onFrame(FrameHeader.of(Kind.CREDIT, 0, 0, 1), credit(65 << 20), runtime.nowNs());
  }

  @Test
  void dataFarBeyondItsCreditIsRefused() {
    open(plan("at_least_once", false), (input, out) -> {});
    byte[] half = new byte[1 << 19];
    runtime.onFrame(FrameHeader.of(Kind.DATA, 3, 2, 1), half, runtime.nowNs());
    runtime.onFrame(FrameHeader.of(Kind.DATA, 3, 2, 1), half, runtime.nowNs());
    assertEquals(ErrorCode.ERROR_CODE_CREDIT, refused(Kind.DATA, 3, new byte[1]));
  }

  @Test
  void planWithoutTheTasksOfThisProcessIsRefusedAndTheNextIsTaken() throws Exception {
    PhysicalPlan good = plan("at_least_once", false);
    PhysicalPlan.Builder foreign = good.toBuilder().setPlanEpoch(good.getPlanEpoch() + 1);
    foreign.clearContainers();
    assertEquals(
        ErrorCode.ERROR_CODE_MALFORMED, refused(Kind.PLAN, 0, foreign.build().toByteArray()));
    PhysicalPlan.Builder unreadable = good.toBuilder().setPlanEpoch(good.getPlanEpoch() + 1);
    unreadable
        .getTopologyBuilder()
        .setOptions(ByteString.copyFrom(new byte[] {(byte) 0xc1}));
    assertEquals(
        ErrorCode.ERROR_CODE_MALFORMED, refused(Kind.PLAN, 0, unreadable.build().toByteArray()));
    List<Object> seen = new ArrayList<>();
    BoltTask task = open(good, (input, out) -> seen.addAll(input.values()));
    sendLine();
    run(task);
    assertEquals(List.of("heron crane"), seen);
  }

  @Test
  void whatIsOnlyToBeSentIsNotDueWhileTheLinkIsDown() throws Exception {
    open(plan("at_least_once", false), (input, out) -> {});
    runtime.onLinkLost("gone", runtime.nowNs());
    assertTrue(runtime.nextDeadlineNs(true) <= runtime.nowNs());
    assertEquals(Long.MAX_VALUE, runtime.nextDeadlineNs(false));
  }

  @Test
  void lossesBeyondTheLimitJoinTheNewest() throws Exception {
    open(plan("at_least_once", false), (input, out) -> {});
    for (int number = 0; number < 65; number++) {
      runtime.onLinkLost("cause " + number, runtime.nowNs());
    }
    List<String> causes = new ArrayList<>();
    for (Frame frame : runtime.turn(true, runtime.nowNs())) {
      if (frame.kind() == Kind.LOSS_NOTICE) {
        causes.add(
            DataBatches.parse(LossNotice.parser(), frame.payload(), "LossNotice").getCause());
      }
    }
    assertEquals(64, causes.size());
    assertEquals("cause 0", causes.get(0));
    assertEquals("cause 63; cause 64", causes.get(63));
  }

  @Test
  void timeWithoutCreditIsCounted() throws Exception {
    BoltTask task =
        open(
            plan("at_least_once", false),
            (input, out) -> {
              for (int row = 0; row < 5; row++) {
                out.emit("default", List.of(input), List.of("heron"));
              }
            });
    sendLine();
    sendLine();
    run(task);
    long heldNs = runtime.nowNs();
    task.step(heldNs);
    task.step(heldNs + 10_000_000);
    MetricsReport report = report(runtime.end(heldNs));
    double heldUs =
        report.getTasks(0).getValuesList().stream()
            .filter(value -> value.getName().equals("back_pressure_time_us"))
            .mapToDouble(NamedValue::getValue)
            .sum();
    assertTrue(heldUs >= 10_000, "held for " + heldUs + " us");
  }

  @Test
  void atMostOnceOnACycleTreesAreCountedWithoutTheAuthor() throws Exception {
    BoltTask task =
        open(
            plan("at_most_once", true),
            (input, out) -> {
              assertEquals(0, input.rootCount());
              out.emit("default", List.of(), List.of("heron"));
            });
    grant();
    sendLine();
    List<Frame> frames = run(task);
    assertTrue(edges(frames) != 0);
    assertEquals(EDGE ^ edges(frames), xor(frames));
  }

  @Test
  void creditIsGrantedForWhatWasExecuted() throws Exception {
    BoltTask task = open(plan("at_least_once", false), (input, out) -> {});
    CreditRequest request = CreditRequest.newBuilder().addTasks(3).addBytes(1024).build();
    runtime.onFrame(
        FrameHeader.of(Kind.CREDIT_REQUEST, 0, 0, 1), request.toByteArray(), runtime.nowNs());
    sendLine();
    List<Frame> frames = run(task);
    Frame grant = frames.stream().filter(frame -> frame.kind() == Kind.CREDIT).findFirst().get();
    Credit credit = DataBatches.parse(Credit.parser(), grant.payload(), "Credit");
    assertEquals(List.of(3), credit.getTasksList());
    assertTrue(credit.getBytes(0) >= 2048, "granted " + credit.getBytes(0));
  }
}
