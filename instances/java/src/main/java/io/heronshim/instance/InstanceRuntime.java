package io.heronshim.instance;

import io.heronshim.codec.DataBatches;
import io.heronshim.stream.CreditReceiver;
import io.heronshim.stream.Frame;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.BackPressure;
import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.Credit;
import io.heronshim.wire.v1.CreditRequest;
import io.heronshim.wire.v1.ErrorCode;
import io.heronshim.wire.v1.MetricsReport;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/**
 * An instance without its socket: frames in, frames out, and what executors and the IO thread share
 * under one lock. An author's code is never called with the lock held.
 */
final class InstanceRuntime {
  private static final int METRICSMGR_TASK = -2;
  private static final long NS_PER_US = 1000;
  private static final long NS_PER_MS = 1_000_000;
  private static final long PAUSE_NS = 2_000_000_000L;
  private static final long BAD_FRAME_LINE_NS = 1_000_000_000L;

  /** A batch for a task that is not open yet. */
  private record Early(int task, byte[] payload, int source) {}

  /** Hears of what threads wait for. */
  interface Wakeup {
    /** The IO thread has something to do. */
    void wakeIo();

    /** Executors may have something to do. */
    void wakeExecutors();

    /** The first plan that is active came. */
    void start(Plan plan);
  }

  private final ChildStart start;
  private final SplittableRandom random;
  private final Wakeup wakeup;
  private final Function<Plan, ComponentHost> hosts;
  private final ProcessFigures figures = new ProcessFigures();
  private final ReentrantLock lock = new ReentrantLock();
  private final AtomicBoolean rowsWait = new AtomicBoolean();
  private final CreditReceiver receiver = new CreditReceiver();
  private final Map<Integer, Task> tasks = new TreeMap<>();
  private final Map<Integer, Long> pauses = new HashMap<>();
  private final List<TaskMeter> unmade = new ArrayList<>();
  private final InstanceLosses losses;
  private final Set<Integer> ownTasks;
  private final LogLimit badFrameLines = new LogLimit(1, BAD_FRAME_LINE_NS);
  private List<Early> early = new ArrayList<>();
  private List<Frame> extra = new ArrayList<>();
  private Outbox outbox;
  private ComponentHost host;
  private Options options;
  private long link = 1;
  private long badFrameCount;
  private long rowsSinceNs;
  private long nextMetricsNs = Long.MAX_VALUE;
  private volatile Plan plan;

  /** `hosts` makes the host of the author's components, once. */
  InstanceRuntime(
      ChildStart start,
      SplittableRandom random,
      Wakeup wakeup,
      Function<Plan, ComponentHost> hosts) {
    this.start = start;
    this.random = random;
    this.wakeup = wakeup;
    this.hosts = hosts;
    this.ownTasks = new TreeSet<>(start.tasks());
    this.losses = new InstanceLosses(start.process(), start.incarnation(), start.tasks());
  }

  ReentrantLock lock() {
    return lock;
  }

  long nowNs() {
    return System.nanoTime();
  }

  boolean isActive() {
    return plan != null && plan.isActive();
  }

  InstanceLosses losses() {
    return losses;
  }

  void wakeExecutors() {
    wakeup.wakeExecutors();
  }

  // ---- the IO thread; each takes the lock ----

  /**
   * Takes a frame of the stream manager. Tuples that another task wrote wrongly are lost; any other
   * fault is the stream manager's.
   *
   * @throws RemoteProtocolError such a fault: credit or the plan may be wrong on this link
   */
  void onFrame(FrameHeader header, byte[] payload, long nowNs) {
    lock.lock();
    try {
      handle(header, payload, nowNs);
    } catch (RemoteProtocolError error) {
      logBadFrame(error, nowNs);
      boolean isOfATask =
          Kind.carriesTuples(header.kind()) && error.code() == ErrorCode.ERROR_CODE_MALFORMED;
      if (!isOfATask) {
        throw error;
      }
      losses.onLinkLost(unreadable(header.source(), error), nowNs);
    } finally {
      lock.unlock();
    }
  }

  private static String unreadable(int source, RemoteProtocolError error) {
    return "frame of task " + source + " could not be read: " + error.getMessage();
  }

  private void logBadFrame(RemoteProtocolError error, long nowNs) {
    badFrameCount++;
    if (badFrameLines.allows(nowNs)) {
      Log.error(
          "bad_frame", "process", start.process(), "error", error.getMessage(), "count",
          badFrameCount);
    }
  }

  /** Lock held; throws RemoteProtocolError when the frame is damaged or none of an instance's. */
  void handle(FrameHeader header, byte[] payload, long nowNs) {
    switch (header.kind()) {
      case Kind.DATA -> onData(header.destination(), header.source(), payload, nowNs);
      case Kind.OUTCOMES -> onOutcomes(header.destination(), payload, nowNs);
      case Kind.CREDIT -> onCredit(payload, nowNs);
      case Kind.CREDIT_REQUEST -> onCreditRequest(payload, nowNs);
      case Kind.PLAN -> onPlan(Plan.read(payload));
      case Kind.BACK_PRESSURE -> onBackPressure(payload, nowNs);
      case Kind.LOSS_NOTICE -> losses.onNotice(payload, nowNs);
      case Kind.LOSS_NOTICE_ACK -> losses.onAck(payload);
      case Kind.LOAD_REPORT, Kind.BARRIER ->
          Log.warning("frame_ignored", "kind", header.kind(), "source", header.source());
      default ->
          throw new RemoteProtocolError(
              "an instance does not take frames of kind " + header.kind(),
              ErrorCode.ERROR_CODE_KIND);
    }
  }

  private void onData(int destination, int source, byte[] payload, long nowNs) {
    checkOwn(destination, "data came");
    receiver.onFrame(destination, payload.length, nowNs);
    Task task = tasks.get(destination);
    if (task instanceof BoltTask bolt) {
      bolt.onBatch(payload, source, link);
      wakeup.wakeExecutors();
    } else if (task == null) {
      early.add(new Early(destination, payload, source));
    } else {
      // What is dropped holds no credit.
      receiver.onConsumed(destination, payload.length, true, nowNs);
      throw new RemoteProtocolError(
          "data for task " + destination + ", which is no bolt of this process",
          ErrorCode.ERROR_CODE_TASK);
    }
  }

  private void onOutcomes(int destination, byte[] payload, long nowNs) {
    if (tasks.get(destination) instanceof SpoutTask spout) {
      spout.onOutcomes(DataBatches.outcomes(payload), nowNs);
      wakeup.wakeExecutors();
    }
  }

  private void onCredit(byte[] payload, long nowNs) {
    Credit credit = DataBatches.parse(Credit.parser(), payload, "Credit");
    checkColumns(credit.getTasksCount(), credit.getBytesCount());
    for (int index = 0; index < credit.getTasksCount() && outbox != null; index++) {
      int task = credit.getTasks(index);
      if (plan.componentOf().containsKey(task)) {
        outbox.onCredit(task, credit.getBytes(index), nowNs / NS_PER_US);
      }
    }
    rowsWait.set(true);
    wakeup.wakeExecutors();
  }

  private void onCreditRequest(byte[] payload, long nowNs) {
    CreditRequest request = DataBatches.parse(CreditRequest.parser(), payload, "CreditRequest");
    checkColumns(request.getTasksCount(), request.getBytesCount());
    for (int index = 0; index < request.getTasksCount(); index++) {
      checkOwn(request.getTasks(index), "credit was asked for");
      receiver.onRequest(request.getTasks(index), request.getBytes(index), nowNs);
    }
  }

  private void checkOwn(int task, String what) {
    if (!ownTasks.contains(task)) {
      throw new RemoteProtocolError(
          what + " for task " + task + ", which is none of \"" + start.process() + "\"",
          ErrorCode.ERROR_CODE_TASK);
    }
  }

  private static void checkColumns(int tasks, int bytes) {
    if (tasks != bytes) {
      throw new RemoteProtocolError(tasks + " tasks and " + bytes + " byte counts do not fit");
    }
  }

  private void onPlan(Plan newPlan) {
    if (plan != null && newPlan.epoch() < plan.epoch()) {
      return;
    }
    List<Integer> placed = newPlan.tasksOfProcess(start.process());
    if (!placed.containsAll(ownTasks)) {
      throw new RemoteProtocolError(
          "PhysicalPlan has tasks " + placed + " in process \"" + start.process()
              + "\", which runs " + ownTasks);
    }
    // Options that cannot be read are refused with the plan, before anything is of it.
    Map<Integer, Options> optionsOf = new HashMap<>();
    for (int task : ownTasks) {
      Component own = newPlan.component(newPlan.componentOf().get(task));
      optionsOf.put(task, new Options(newPlan.wire().getTopology(), own));
    }
    plan = newPlan;
    losses.setPlan(newPlan);
    if (newPlan.isActive() && outbox == null) {
      options = optionsOf.get(start.tasks().get(0));
      outbox = new Outbox(options.batchRows(), options.batchBytes(), random.split());
      nextMetricsNs = nowNs();
      wakeup.start(newPlan);
    }
    wakeup.wakeExecutors();
  }

  private void onBackPressure(byte[] payload, long nowNs) {
    BackPressure pressure = DataBatches.parse(BackPressure.parser(), payload, "BackPressure");
    if (pressure.getActive()) {
      pauses.put(pressure.getTask(), nowNs + PAUSE_NS);
    } else {
      pauses.remove(pressure.getTask());
    }
  }

  /** The link is a new one: credit on both sides begins at nothing. */
  void onNewLink() {
    lock.lock();
    try {
      link++;
      receiver.onNewLink();
      pauses.clear();
      if (outbox != null) {
        outbox.onNewLink();
      }
      losses.onNewLink();
    } finally {
      lock.unlock();
    }
  }

  /** Frames are lost with the link. */
  void onLinkLost(String cause, long nowNs) {
    lock.lock();
    try {
      losses.onLinkLost(cause, nowNs);
    } finally {
      lock.unlock();
    }
  }

  /** Does what is due and returns the frames to send, in order; `isUp`: else they wait. */
  List<Frame> turn(boolean isUp, long nowNs) {
    lock.lock();
    try {
      flush(nowNs, false);
      tasks.values().forEach(task -> task.onTime(nowNs));
      if (nowNs >= nextMetricsNs) {
        nextMetricsNs = nowNs + options.metricsIntervalNs();
        extra.add(metrics(nowNs, false));
      }
      return isUp ? takeFrames(nowNs) : List.of();
    } finally {
      lock.unlock();
    }
  }

  /** When something is due though nothing happens; `isUp`: else what is to be sent waits. */
  long nextDeadlineNs(boolean isUp) {
    lock.lock();
    try {
      long due = isUp ? Math.min(nextMetricsNs, losses.nextDeadlineNs()) : Long.MAX_VALUE;
      return rowsSinceNs > 0 ? Math.min(due, rowsSinceNs + options.flushAgeNs()) : due;
    } finally {
      lock.unlock();
    }
  }

  /** The process ends: what waits here, or is not acked yet, is lost; returns the last frames. */
  List<Frame> end(long nowNs) {
    lock.lock();
    try {
      flush(nowNs, true);
      boolean hasBolts = tasks.values().stream().anyMatch(BoltTask.class::isInstance);
      if (hasBolts && options.tracked()) {
        losses.onLinkLost("stopped with tuples in hand", nowNs);
      }
      if (!tasks.isEmpty() || !unmade.isEmpty()) {
        extra.add(metrics(nowNs, true));
      }
      return takeFrames(nowNs);
    } finally {
      lock.unlock();
    }
  }

  private void flush(long nowNs, boolean idle) {
    if (outbox == null || !rowsWait.get()) {
      return;
    }
    if (rowsSinceNs == 0) {
      rowsSinceNs = nowNs;
    }
    if (!idle && nowNs - rowsSinceNs < options.flushAgeNs()) {
      outbox.flush(nowNs / NS_PER_US, true);
      return;
    }
    // Before the rows are taken: one that comes meanwhile is waited for anew.
    rowsWait.set(false);
    rowsSinceNs = 0;
    outbox.flush(nowNs / NS_PER_US, false);
    for (Task task : tasks.values()) {
      extra.addAll(task.takeOutcomes());
    }
  }

  private List<Frame> takeFrames(long nowNs) {
    List<Frame> frames = outbox == null ? new ArrayList<>() : outbox.takeFrames();
    frames.addAll(extra);
    extra = new ArrayList<>();
    frames.addAll(losses.takeFrames(nowNs));
    Map<Integer, Long> grants = receiver.takeGrants();
    if (!grants.isEmpty()) {
      Credit credit =
          Credit.newBuilder().addAllTasks(grants.keySet()).addAllBytes(grants.values()).build();
      frames.add(new Frame(Kind.CREDIT, 0, 0, credit.toByteArray()));
    }
    Map<Integer, Long> wanted = outbox == null ? Map.of() : outbox.takeWanted();
    if (!wanted.isEmpty()) {
      CreditRequest request =
          CreditRequest.newBuilder()
              .addAllTasks(wanted.keySet())
              .addAllBytes(wanted.values())
              .build();
      frames.add(new Frame(Kind.CREDIT_REQUEST, 0, 0, request.toByteArray()));
    }
    return frames;
  }

  private Frame metrics(long nowNs, boolean last) {
    MetricsReport.Builder report =
        MetricsReport.newBuilder()
            .setProcess(start.process())
            .setContainer(start.container())
            .setTimeMs(System.currentTimeMillis())
            .setIntervalMs((int) (options.metricsIntervalNs() / NS_PER_MS))
            .setIncarnation(start.incarnation())
            .setPid((int) ProcessHandle.current().pid())
            .addAllValues(figures.take())
            .addAllEvents(losses.takeEvents());
    for (Task task : tasks.values()) {
      task.meter.set("waiting_output_bytes", outbox.waitingBytes());
      task.meter.set("queue_bytes", receiver.queuedBytes(task.id()));
      if (task.emitter != null) {
        for (Route route : task.emitter.routes()) {
          long count = route.takeEmitCount();
          if (count > 0) {
            task.meter.add("emit_count/" + route.stream, count);
          }
        }
      }
      report.addAllErrors(task.meter.takeErrors(nowNs, last));
      report.addTasks(task.meter.take());
    }
    unmade.forEach(meter -> report.addAllErrors(meter.takeErrors(nowNs, last)));
    return new Frame(
        Kind.METRICS, METRICSMGR_TASK, start.tasks().get(0), report.build().toByteArray());
  }

  // ---- executors ----

  /** The host of the author's components, made by the first executor that asks. */
  synchronized ComponentHost host(Plan first) {
    if (host == null) {
      host = hosts.apply(first);
    }
    return host;
  }

  SplittableRandom newRandom() {
    synchronized (random) {
      return random.split();
    }
  }

  /** A task is there: what came for it, and errors of its open, find it. */
  void add(Task task) {
    lock.lock();
    try {
      tasks.put(task.id(), task);
      losses.setTasks(tasks.values());
      if (task instanceof SpoutTask spout) {
        outbox.setTrees(task.id(), spout);
      }
      if (task instanceof BoltTask bolt) {
        early.stream()
            .filter(one -> one.task() == task.id())
            .forEach(one -> bolt.onBatch(one.payload(), one.source(), link));
      }
      early.removeIf(one -> one.task() == task.id());
    } finally {
      lock.unlock();
    }
  }

  /** A task's component could not be made: its errors are reported all the same. */
  void addUnmade(TaskMeter meter) {
    lock.lock();
    try {
      unmade.add(meter);
    } finally {
      lock.unlock();
    }
  }

  /** Makes the batch of one task to another. */
  OpenBatch openBatch(Plan of, String component, int source, int target) {
    lock.lock();
    try {
      return outbox.open(
          component,
          source,
          target,
          of.onOneCycle(source, target),
          of.isJava(target) ? host.opaqueValues() : null);
    } finally {
      lock.unlock();
    }
  }

  /** A row, or an outcome, waits to leave. Any thread. */
  void onRow() {
    if (!rowsWait.get() && rowsWait.compareAndSet(false, true)) {
      wakeup.wakeIo();
    }
  }

  /** An executor called the author's code; `idle`: and there is nothing more to do. */
  void afterStep(boolean idle) {
    if (!rowsWait.get()) {
      return;
    }
    lock.lock();
    try {
      flush(nowNs(), idle);
    } finally {
      lock.unlock();
    }
    wakeup.wakeIo();
  }

  /** A batch was executed, or dropped. Lock held. */
  void onConsumed(int task, int frameBytes, long ofLink) {
    receiver.onConsumed(task, frameBytes, ofLink == link, nowNs());
    wakeup.wakeIo();
  }

  /** Whether a task must wait for credit. Lock held. */
  boolean holdsBack(int task, long nowNs) {
    return outbox.holds(task, nowNs / NS_PER_US);
  }

  /** Whether spouts must wait. Lock held. */
  boolean isPaused(long nowNs) {
    pauses.values().removeIf(until -> until - nowNs <= 0);
    return !pauses.isEmpty();
  }

  /** A batch could not be read. */
  void onBadFrame(int source, RemoteProtocolError error) {
    lock.lock();
    try {
      logBadFrame(error, nowNs());
      losses.onLinkLost(unreadable(source, error), nowNs());
    } finally {
      lock.unlock();
    }
  }
}
