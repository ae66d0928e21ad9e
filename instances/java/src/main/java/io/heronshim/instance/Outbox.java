package io.heronshim.instance;

import com.google.protobuf.UnsafeByteOperations;
import io.heronshim.codec.OpaqueValues;
import io.heronshim.stream.AckTracker;
import io.heronshim.stream.CreditSender;
import io.heronshim.stream.Frame;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.stream.OutcomeBuffer;
import io.heronshim.wire.v1.DataBatch;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/** All open batches of a process, and what waits for credit. IO lock held. */
final class Outbox {
  private static final int HEAD_BYTES = 64;
  private static final int PAIR_BYTES = 16;

  /** Opens a spout's trees. */
  interface Trees {
    /** Opens the tree of a row of one copy; returns its root. */
    long open(Object id, long edge, long nowUs);
  }

  private final int batchRows;
  private final int batchBytes;
  private final SplittableRandom random;
  private final Map<Integer, Target> targets = new TreeMap<>();
  private final Map<Integer, Trees> treesOf = new HashMap<>();
  private CreditSender credit = new CreditSender();
  private Deque<Frame> frames = new ArrayDeque<>();
  private final Map<Integer, Long> wanted = new TreeMap<>();

  Outbox(int batchRows, int batchBytes, SplittableRandom random) {
    this.batchRows = batchRows;
    this.batchBytes = batchBytes;
    this.random = random;
  }

  /** The trees of a spout task. */
  void setTrees(int source, Trees trees) {
    treesOf.put(source, trees);
  }

  /** Makes the batch of one task to another; it lives as long as the process. */
  OpenBatch open(String component, int source, int target, boolean inCycle, OpaqueValues opaque) {
    Target to = targets.computeIfAbsent(target, Target::new);
    OpenBatch batch = new OpenBatch(component, source, to, inCycle, opaque);
    to.batches.add(batch);
    return batch;
  }

  /** About how many bytes wait for credit. */
  long waitingBytes() {
    long bytes = 0;
    for (Target target : targets.values()) {
      if (!target.waiting.isEmpty()) {
        bytes += target.waiting.stream().mapToLong(sealed -> sealed.bytesMax).sum();
        bytes += target.batches.stream().mapToLong(OpenBatch::bytes).sum();
      }
    }
    return bytes;
  }

  /**
   * Whether a task must wait: over a frame's worth of what it emitted does. What waits on an edge of
   * a cycle that the task is on does not count: it would hold itself.
   */
  boolean holds(int source, long nowUs) {
    for (Target target : targets.values()) {
      if (target.waiting.isEmpty()) {
        continue;
      }
      for (OpenBatch batch : target.batches) {
        if (batch.source == source && !batch.inCycle && stuckRows(batch) > rowsMax(target, nowUs)) {
          return true;
        }
      }
    }
    return false;
  }

  private static int stuckRows(OpenBatch batch) {
    int rows = batch.rowCount();
    for (Target.Sealed sealed : batch.to.waiting) {
      if (sealed.batch == batch && sealed.rows != null) {
        rows += sealed.rows.count();
      }
    }
    return rows;
  }

  private int rowsMax(Target target, long nowUs) {
    return Math.min(batchRows, target.pace.rowsMax(nowUs));
  }

  /** Lets rows leave as far as credit goes; `onlyFull`: only where a batch is full. */
  void flush(long nowUs, boolean onlyFull) {
    for (Target target : targets.values()) {
      if (!target.waiting.isEmpty()) {
        continue;
      }
      for (OpenBatch batch : target.batches) {
        if (!onlyFull || batch.rowCount() >= batchRows || batch.bytes() >= batchBytes) {
          close(batch, nowUs);
        }
      }
    }
  }

  /** Credit came: sends what waits for it, in order. */
  void onCredit(int task, long bytes, long nowUs) {
    credit.granted(task, bytes);
    Target target = targets.get(task);
    if (target == null || target.waiting.isEmpty()) {
      return;
    }
    while (!target.waiting.isEmpty()) {
      if (!leave(target, target.waiting.peekFirst(), nowUs)) {
        ask(target);
        return;
      }
      target.waiting.removeFirst();
    }
    // The others' turn comes first, now and then.
    Collections.rotate(target.batches, -1);
    for (OpenBatch batch : target.batches) {
      if (batch.rowCount() >= rowsMax(target, nowUs)) {
        close(batch, nowUs);
      }
    }
  }

  /** All credit belonged to the old link; asks anew for what waits and what never left. */
  void onNewLink() {
    credit = new CreditSender();
    Deque<Frame> unsent = frames;
    frames = new ArrayDeque<>();
    while (!unsent.isEmpty()) {
      Frame frame = unsent.removeLast();
      Target target = targets.get(frame.destination());
      OpenBatch batch =
          target.batches.stream().filter(one -> one.source == frame.source()).findFirst().get();
      target.waiting.addFirst(
          new Target.Sealed(batch, null, frame.payload().length, frame.payload()));
    }
    wanted.clear();
    for (Target target : targets.values()) {
      if (!target.waiting.isEmpty()) {
        ask(target);
      }
    }
  }

  /** Returns and forgets the frames to send, in order. */
  List<Frame> takeFrames() {
    List<Frame> taken = new ArrayList<>(frames);
    frames.clear();
    return taken;
  }

  /** Returns and forgets the credit to ask for: task to the cost of the first frame that waits. */
  Map<Integer, Long> takeWanted() {
    Map<Integer, Long> taken = new TreeMap<>(wanted);
    wanted.clear();
    return taken;
  }

  private void close(OpenBatch batch, long nowUs) {
    Target target = batch.to;
    while (target.waiting.isEmpty() && batch.rowCount() > 0) {
      long left = credit.left(target.task);
      long bytesMax = batchBytes;
      if (left >= FrameHeader.COST_MIN_BYTES) {
        bytesMax = Math.min(bytesMax, left - HEAD_BYTES - namesBytes(batch, null));
      }
      Target.Sealed sealed = seal(batch, batch.take(rowsMax(target, nowUs), bytesMax));
      if (!leave(target, sealed, nowUs)) {
        target.waiting.addLast(sealed);
        ask(target);
      }
    }
  }

  private static Target.Sealed seal(OpenBatch batch, OpenBatch.Rows rows) {
    long columns = 5L * rows.count() + (long) PAIR_BYTES * (rows.idCount() + rows.roots().length);
    long bytes = rows.blob().length + columns + namesBytes(batch, rows.route()) + HEAD_BYTES;
    return new Target.Sealed(batch, rows, bytes, null);
  }

  private static long namesBytes(OpenBatch batch, Route route) {
    return 4L * (batch.component.length() + (route == null ? HEAD_BYTES : route.stream.length()));
  }

  /** Sends a frame if there is credit for it; its trees open now, when their time begins. */
  private boolean leave(Target target, Target.Sealed sealed, long nowUs) {
    if (credit.left(target.task) < FrameHeader.costBytes(sealed.bytesMax)) {
      return false;
    }
    byte[] payload = sealed.payload;
    if (payload == null) {
      payload = encode(sealed, nowUs);
      target.pace.took(sealed.rows.count(), nowUs);
    }
    credit.spend(target.task, FrameHeader.costBytes(payload.length));
    frames.add(new Frame(Kind.DATA, target.task, sealed.batch.source, payload));
    return true;
  }

  private byte[] encode(Target.Sealed sealed, long nowUs) {
    OpenBatch.Rows rows = sealed.rows;
    Trees trees = treesOf.get(sealed.batch.source);
    int pairsMax = rows.count() + rows.roots().length;
    long[] roots = new long[pairsMax];
    long[] edges = new long[pairsMax];
    int[] counts = rows.pairCounts();
    int from = 0;
    int size = 0;
    for (int row = 0; row < rows.count(); row++) {
      Object id = rows.ids()[row];
      if (id != null) {
        edges[size] = AckTracker.drawEdge(random);
        roots[size] = trees.open(id, edges[size], nowUs);
        size++;
        counts[row] = 1;
        continue;
      }
      System.arraycopy(rows.roots(), from, roots, size, counts[row]);
      System.arraycopy(rows.edges(), from, edges, size, counts[row]);
      from += counts[row];
      size += counts[row];
    }
    DataBatch.Builder batch =
        DataBatch.newBuilder()
            .setComponent(sealed.batch.component)
            .setStream(rows.route().stream)
            .setRowCount(rows.count())
            .setRows(UnsafeByteOperations.unsafeWrap(rows.blob()));
    if (size > 0) {
      batch.setRoots(OutcomeBuffer.column(roots, size)).setEdges(OutcomeBuffer.column(edges, size));
      if (!Arrays.stream(counts).allMatch(count -> count == 1)) {
        Arrays.stream(counts).forEach(batch::addRootCounts);
      }
    }
    return batch.build().toByteArray();
  }

  private void ask(Target target) {
    if (credit.ask(target.task)) {
      wanted.put(target.task, FrameHeader.costBytes(target.waiting.peekFirst().bytesMax));
    }
  }
}
