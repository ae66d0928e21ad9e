package io.heronshim.instance;

import io.heronshim.codec.UnwritableValueException;
import io.heronshim.stream.AckTracker;
import io.heronshim.stream.FailFast;
import io.heronshim.stream.OutcomeBuffer;
import io.heronshim.stream.Settled;
import io.heronshim.wire.v1.Outcomes;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;

/** One spout task: calls the author's nextTuple, opens trees, hands outcomes back. */
final class SpoutTask extends Task implements Settled, Outbox.Trees {
  private static final int BURST_MAX = 2048;
  private static final long BURST_NS = 400_000;
  private static final long NS_PER_US = 1000;

  /** Message id of a tree that only bounds what is under way; its author hears nothing of it. */
  private static final Object UNHEARD = new Object();

  /** A tree that completed. */
  private record Acked(Object id, long openUs) {}

  private final SpoutComponent spout;
  private final boolean tracked;
  private final boolean bounded;
  private final int pendingMax;
  private final long rotateNs;
  private final AckTracker tracker;
  private final FailFast failFast;
  private final AtomicInteger unflushed = new AtomicInteger();
  private List<Acked> acked = new ArrayList<>();
  private List<Object> failed = new ArrayList<>();
  private long nextRotationNs;
  private boolean active;
  private int burst = 1;
  private int emitsPerCall = 1;
  private int emits;
  private volatile int openCount;

  SpoutTask(
      InstanceRuntime runtime,
      TaskContext context,
      Options options,
      SpoutComponent spout,
      boolean failsFast,
      SplittableRandom random) {
    super(runtime, context, options);
    this.spout = spout;
    this.tracked = options.tracked();
    this.bounded = context.plan().feedsCycle(context.component());
    // A limit of 0 is none, but in a cycle, where nothing else bounds what goes round.
    int limit = options.maxSpoutPending();
    this.pendingMax = limit > 0 ? limit : bounded ? 5000 : 0;
    this.rotateNs = (long) (options.messageTimeoutS() * 1e9 / AckTracker.EPOCHS_PER_TIMEOUT);
    this.tracker = new AckTracker(context.task(), random, Math.min(1 << 16, pendingMax) + 64);
    this.failFast = new FailFast(failsFast && tracked, (long) (options.messageTimeoutS() * 1e6));
  }

  // ---- the executor's thread ----

  @Override
  void open(Emitter own) {
    emitter = own;
    spout.open(new SpoutCollector(this, own));
  }

  @Override
  boolean step(long nowNs) {
    List<Acked> ackedNow;
    List<Object> failedNow;
    boolean held;
    runtime.lock().lock();
    try {
      ackedNow = acked;
      failedNow = failed;
      acked = new ArrayList<>();
      failed = new ArrayList<>();
      held = runtime.holdsBack(id(), nowNs) || runtime.isPaused(nowNs);
    } finally {
      runtime.lock().unlock();
    }
    countStep(held, nowNs);
    deliver(ackedNow, failedNow);
    boolean turned = turn(runtime.isActive());
    boolean emitted = active && !held && emitBurst(nowNs);
    return emitted || turned || !ackedNow.isEmpty() || !failedNow.isEmpty();
  }

  private void deliver(List<Acked> ackedNow, List<Object> failedNow) {
    for (Acked tree : ackedNow) {
      guard(() -> spout.ack(tree.id(), tree.openUs() / 1000.0));
    }
    if (!failedNow.isEmpty()) {
      meter.add("fail_count", failedNow.size());
    }
    for (Object id : failedNow) {
      guard(() -> spout.fail(id));
    }
  }

  private boolean turn(boolean wanted) {
    if (wanted == active) {
      return false;
    }
    active = wanted;
    guard(active ? spout::activate : spout::deactivate);
    return true;
  }

  private boolean emitBurst(long nowNs) {
    int calls = burst;
    if (pendingMax > 0) {
      int left = pendingMax - pending();
      if (left <= 0) {
        return false;
      }
      // More than one emit a call may overshoot the limit by one call's, as in Storm.
      calls = emitsPerCall > 1 ? 1 : Math.min(calls, left);
    }
    emits = 0;
    int made = 0;
    long elapsedNs = 0;
    while (made < calls && elapsedNs < BURST_NS) {
      guard(spout::nextTuple);
      made++;
      elapsedNs = runtime.nowNs() - nowNs;
      if (emits == 0) {
        break;
      }
    }
    meter.add("next_tuple_count", made);
    meter.add("busy_time_us", elapsedNs / NS_PER_US);
    if (emits > made) {
      emitsPerCall = (emits + made - 1) / made;
    }
    burst = emits < made ? 1 : Math.min(BURST_MAX, 2 * burst);
    return emits > 0;
  }

  private void guard(Runnable call) {
    try {
      call.run();
    } catch (UserCodeFailed error) {
      throw error;
    } catch (Throwable error) {
      onThrown(error);
    }
  }

  @Override
  void close() {
    try {
      turn(false);
    } finally {
      spout.close();
    }
  }

  @Override
  long nextDeadlineNs() {
    return Long.MAX_VALUE;
  }

  boolean isTracked() {
    return tracked;
  }

  void countEmit() {
    emits++;
  }

  /** The id of the tree of a tuple, or null when it has none. */
  Object treeId(Object id) {
    if (tracked && id != null) {
      return id;
    }
    return bounded ? UNHEARD : null;
  }

  int pending() {
    return openCount + unflushed.get();
  }

  /** A row whose tree is not open yet was appended; it may have left already. */
  void onTrackedRow(Object treeId) {
    if (treeId != null) {
      unflushed.incrementAndGet();
    }
  }

  /** A reliable emit without a consumer is acked at once (Storm). */
  void onEmptyTree(Object treeId) {
    runtime.lock().lock();
    try {
      acked(treeId, 0);
    } finally {
      runtime.lock().unlock();
    }
  }

  /** Without tracking a tuple with an id is acked at emit (Storm with ackers = 0). */
  void onUntrackedId(Object id) {
    meter.add("ack_count", 1);
    spout.ack(id, 0);
  }

  /** Opens a tree of several copies; returns its root. */
  long openTree(Object treeId, long value) {
    runtime.lock().lock();
    try {
      long root = tracker.open(treeId, value, runtime.nowNs() / NS_PER_US);
      openCount = tracker.openCount();
      return root;
    } finally {
      runtime.lock().unlock();
    }
  }

  /** A row of one copy was left out: its tree fails. */
  void onUnwritable(UnwritableValueException error, Object treeId) {
    report(error);
    if (treeId != null) {
      runtime.lock().lock();
      try {
        failed(treeId);
      } finally {
        runtime.lock().unlock();
      }
    }
  }

  /** One of several copies was left out: its tree fails. */
  void onUnwritableCopy(UnwritableValueException error, long root) {
    report(error);
    runtime.lock().lock();
    try {
      if (tracker.isOpen(root)) {
        tracker.settle(AckTracker.FAIL, root, 0, 0, this);
        openCount = tracker.openCount();
      }
    } finally {
      runtime.lock().unlock();
    }
  }

  // ---- IO lock held ----

  @Override
  public long open(Object id, long edge, long nowUs) {
    long root = tracker.open(id, edge, nowUs);
    openCount = tracker.openCount();
    unflushed.decrementAndGet();
    return root;
  }

  /** Applies outcomes that came from the network. */
  void onOutcomes(Outcomes outcomes, long nowNs) {
    long[] roots = OutcomeBuffer.numbers(outcomes.getRoots());
    long[] xors = OutcomeBuffer.numbers(outcomes.getXors());
    for (int index = 0; index < roots.length; index++) {
      int kind = outcomes.getKinds().isEmpty() ? AckTracker.ACK : outcomes.getKinds().byteAt(index);
      tracker.settle(kind, roots[index], xors[index], nowNs / NS_PER_US, this);
    }
    openCount = tracker.openCount();
  }

  @Override
  public void acked(Object id, long openUs) {
    if (id != UNHEARD) {
      if (openUs > 0 && runtime.nowNs() / NS_PER_US - openUs <= failFast.markedUntilUs()) {
        meter.add("trees_completed_after_loss", 1);
      }
      meter.addCompleted(openUs);
      acked.add(new Acked(id, openUs));
    }
  }

  @Override
  public void failed(Object id) {
    if (id != UNHEARD) {
      failed.add(id);
    }
  }

  @Override
  void onLoss(String cause, long nowNs) {
    meter.add("loss_notice_count", 1);
    if (tracker.openCount() > 0) {
      failFast.onNotice(cause, nowNs / NS_PER_US, meter.completeLatencyUs());
    }
  }

  @Override
  void onTime(long nowNs) {
    long nowUs = nowNs / NS_PER_US;
    FailFast.Mark mark = failFast.takeDue(nowUs);
    while (mark != null) {
      int hit = tracker.failOpenSince(mark.untilUs(), this);
      if (hit > 0) {
        meter.add("trees_failed_on_loss", hit);
        runtime.losses().onTreesFailed(context, hit, mark.cause());
      }
      mark = failFast.takeDue(nowUs);
    }
    if (rotateNs > 0 && nextRotationNs == 0) {
      nextRotationNs = nowNs + rotateNs;
    }
    while (rotateNs > 0 && nowNs >= nextRotationNs) {
      nextRotationNs += rotateNs;
      int count = tracker.rotate(this);
      if (count > 0) {
        meter.add("timeout_count", count);
      }
    }
    openCount = tracker.openCount();
    if (!failed.isEmpty()) {
      runtime.wakeExecutors();
    }
  }

  @Override
  void measure() {
    meter.set("pending", pending());
    meter.setUser(spout.counters(), spout.gauges());
  }
}
