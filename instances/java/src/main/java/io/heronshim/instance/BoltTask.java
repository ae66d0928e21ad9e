package io.heronshim.instance;

import io.heronshim.codec.DataBatches;
import io.heronshim.codec.OpaqueValues;
import io.heronshim.stream.Frame;
import io.heronshim.stream.OutcomeBuffer;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.DataBatch;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Collection;
import java.util.Deque;
import java.util.List;

/** One bolt task: executes batches row by row. */
final class BoltTask extends Task {
  private static final long CHUNK_NS = 400_000;
  private static final long NS_PER_US = 1000;
  private static final long[] NONE = {};
  private static final String SYSTEM = "__system";
  private static final String TICK = "__tick";
  private static final int SYSTEM_TASK = -1;

  /** A frame that arrived; `link`: which one it came on. */
  private record Arrived(byte[] payload, int source, long link) {}

  private final BoltComponent bolt;
  private final OpaqueValues opaque;
  private final OutcomeBuffer outcomes;
  private final Deque<Arrived> inbox = new ArrayDeque<>();
  private final long tickNs;

  /** At most once on the way to a cycle: trees that only bound what is under way, see Trees. */
  private final boolean countsOnly;

  private volatile InputTuple current;
  private long nextTickNs = Long.MAX_VALUE;
  private Work work;

  /** A batch in execution. */
  private static final class Work {
    final Arrived arrived;
    final DataBatch batch;
    final List<List<Object>> rows;
    final long[] roots;
    final long[] edges;
    final String countName;
    int next;
    int nextPair;

    Work(Arrived arrived, DataBatch batch, List<List<Object>> rows) {
      this.arrived = arrived;
      this.batch = batch;
      this.rows = rows;
      this.roots = OutcomeBuffer.numbers(batch.getRoots());
      this.edges = OutcomeBuffer.numbers(batch.getEdges());
      this.countName = "execute_count/" + batch.getComponent() + "/" + batch.getStream();
    }

    InputTuple take() {
      int pairs =
          batch.getRootCountsCount() > 0 ? batch.getRootCounts(next) : Math.min(1, roots.length);
      long[] ownRoots = NONE;
      long[] ownEdges = NONE;
      if (pairs > 0) {
        ownRoots = Arrays.copyOfRange(roots, nextPair, nextPair + pairs);
        ownEdges = Arrays.copyOfRange(edges, nextPair, nextPair + pairs);
        nextPair += pairs;
      }
      List<Object> values = rows.get(next);
      // A tuple that the author keeps shall not keep the batch.
      rows.set(next, null);
      next++;
      return new InputTuple(
          values, batch.getComponent(), arrived.source(), batch.getStream(), ownRoots, ownEdges);
    }
  }

  BoltTask(
      InstanceRuntime runtime,
      TaskContext context,
      Options options,
      BoltComponent bolt,
      OpaqueValues opaque) {
    super(runtime, context, options);
    this.bolt = bolt;
    this.opaque = opaque;
    this.outcomes = new OutcomeBuffer(context.task());
    this.tickNs = (long) (options.tickIntervalS() * 1e9);
    this.countsOnly = !options.tracked() && context.plan().isBehindCycleFeeder(context.component());
  }

  // ---- the executor's thread ----

  @Override
  void open(Emitter own) {
    emitter = own;
    bolt.prepare(new BoltCollector(this, own));
    if (tickNs > 0) {
      nextTickNs = runtime.nowNs() + tickNs;
    }
  }

  @Override
  boolean step(long nowNs) {
    boolean ticked = tick(nowNs);
    Arrived arrived = null;
    boolean held;
    runtime.lock().lock();
    try {
      held = runtime.holdsBack(id(), nowNs);
      if (work == null && !held) {
        arrived = inbox.pollFirst();
      }
    } finally {
      runtime.lock().unlock();
    }
    countStep(held, nowNs);
    if (held || work == null && arrived == null) {
      return ticked;
    }
    if (arrived != null) {
      begin(arrived);
    }
    if (work != null) {
      runChunk(nowNs);
    }
    return true;
  }

  private boolean tick(long nowNs) {
    if (nowNs < nextTickNs) {
      return false;
    }
    nextTickNs += tickNs * (1 + (nowNs - nextTickNs) / tickNs);
    double seconds = options.tickIntervalS();
    Object interval = seconds == Math.rint(seconds) ? (Object) (int) seconds : (Object) seconds;
    meter.add("execute_count/" + SYSTEM + "/" + TICK, 1);
    execute(InputTuple.untracked(List.of(interval), SYSTEM, SYSTEM_TASK, TICK));
    return true;
  }

  /** Reads a batch, to be executed from now on; drops it when it is damaged. */
  private void begin(Arrived arrived) {
    try {
      DataBatch batch = DataBatches.parse(DataBatch.parser(), arrived.payload(), "DataBatch");
      boolean isJava = context.plan().isJava(arrived.source());
      work = new Work(arrived, batch, DataBatches.rows(batch, isJava ? opaque : null));
    } catch (RemoteProtocolError error) {
      // What is dropped holds no credit.
      consumed(arrived);
      report(error);
      runtime.onBadFrame(arrived.source(), error);
    }
  }

  private void runChunk(long nowNs) {
    Work current = work;
    int before = current.next;
    long elapsedNs = 0;
    while (current.next < current.rows.size() && elapsedNs < CHUNK_NS) {
      execute(current.take());
      elapsedNs = runtime.nowNs() - nowNs;
    }
    meter.addExecuted(current.countName, current.next - before, elapsedNs / NS_PER_US);
    if (current.next == current.rows.size()) {
      work = null;
      consumed(current.arrived);
    }
  }

  private void execute(InputTuple input) {
    try {
      if (countsOnly) {
        executeCounted(input);
      } else {
        bolt.execute(input);
      }
    } catch (UserCodeFailed error) {
      throw error;
    } catch (Throwable error) {
      setInHand(() -> input.component() + "/" + input.stream() + " " + Log.text(input.values()));
      onThrown(error);
      setInHand(null);
      countFail();
      for (int index = 0; index < input.rootCount(); index++) {
        outcomes.fail(input.root(index));
      }
      onOutcome();
    }
  }

  /** The author hears of no tree: what is emitted meanwhile belongs to it, and its return acks. */
  private void executeCounted(InputTuple input) {
    current = input;
    try {
      bolt.execute(
          InputTuple.untracked(input.values(), input.component(), input.task(), input.stream()));
    } finally {
      current = null;
    }
    for (int index = 0; index < input.rootCount(); index++) {
      outcomes.ack(input.root(index), input.edge(index) ^ input.children());
    }
    onOutcome();
  }

  private void consumed(Arrived arrived) {
    runtime.lock().lock();
    try {
      runtime.onConsumed(id(), arrived.payload().length, arrived.link());
    } finally {
      runtime.lock().unlock();
    }
  }

  @Override
  void close() {
    bolt.cleanup();
  }

  @Override
  long nextDeadlineNs() {
    return nextTickNs;
  }

  // ---- IO lock held ----

  /** A batch arrived; it is executed in a later step. */
  void onBatch(byte[] payload, int source, long link) {
    inbox.addLast(new Arrived(payload, source, link));
  }

  @Override
  List<Frame> takeOutcomes() {
    return outcomes.take();
  }

  @Override
  void measure() {
    meter.setUser(bolt.counters(), bolt.gauges());
  }

  // ---- any thread ----

  /** What the author's emit is anchored to. */
  Collection<? extends Anchor> anchors(Collection<? extends Anchor> given) {
    InputTuple inHand = current;
    return inHand == null ? given : List.of(inHand);
  }

  OutcomeBuffer outcomes() {
    return outcomes;
  }

  void onOutcome() {
    runtime.onRow();
  }

  void countAck() {
    meter.add("ack_count", 1);
  }

  void countFail() {
    meter.add("fail_count", 1);
  }
}
