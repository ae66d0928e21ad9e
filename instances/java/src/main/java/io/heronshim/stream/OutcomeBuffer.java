package io.heronshim.stream;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.heronshim.wire.v1.Outcomes;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Outcomes between two flushes: acks combined per root, order kept against fails. Thread-safe. */
public final class OutcomeBuffer {
  private final int source;
  private final Map<Long, Long> acks = new LinkedHashMap<>();
  private final List<Frame> frames = new ArrayList<>();

  /** Outcomes of one bolt task. */
  public OutcomeBuffer(int source) {
    this.source = source;
  }

  /** XORs into a root's tree. */
  public synchronized void ack(long root, long xor) {
    long combined = acks.getOrDefault(root, 0L) ^ xor;
    if (combined == 0) {
      // A tuple was acked twice: the first ack may complete the tree, so it goes alone.
      settleAcks();
      combined = xor;
    }
    acks.put(root, combined);
  }

  /** Fails a root's tree; acks that came before go before. */
  public synchronized void fail(long root) {
    settleAcks();
    mark(root, AckTracker.FAIL);
  }

  /** Gives a root's tree its timeout again. */
  public synchronized void resetTimeout(long root) {
    mark(root, AckTracker.RESET);
  }

  /** Returns and forgets the frames to send. */
  public synchronized List<Frame> take() {
    if (acks.isEmpty() && frames.isEmpty()) {
      return List.of();
    }
    settleAcks();
    List<Frame> taken = new ArrayList<>(frames);
    frames.clear();
    return taken;
  }

  private void mark(long root, int kind) {
    Outcomes outcomes =
        Outcomes.newBuilder()
            .setKinds(ByteString.copyFrom(new byte[] {(byte) kind}))
            .setRoots(column(new long[] {root}, 1))
            .setXors(column(new long[1], 1))
            .setDistinct(true)
            .build();
    frames.add(
        new Frame(Kind.OUTCOMES, AckTracker.taskOfRoot(root), source, outcomes.toByteArray()));
  }

  private void settleAcks() {
    Map<Integer, List<Map.Entry<Long, Long>>> byTask = new LinkedHashMap<>();
    for (Map.Entry<Long, Long> entry : acks.entrySet()) {
      byTask
          .computeIfAbsent(AckTracker.taskOfRoot(entry.getKey()), task -> new ArrayList<>())
          .add(entry);
    }
    for (Map.Entry<Integer, List<Map.Entry<Long, Long>>> part : byTask.entrySet()) {
      int count = part.getValue().size();
      long[] roots = new long[count];
      long[] xors = new long[count];
      for (int index = 0; index < count; index++) {
        roots[index] = part.getValue().get(index).getKey();
        xors[index] = part.getValue().get(index).getValue();
      }
      Outcomes outcomes =
          Outcomes.newBuilder()
              .setRoots(column(roots, count))
              .setXors(column(xors, count))
              .setDistinct(true)
              .build();
      frames.add(new Frame(Kind.OUTCOMES, part.getKey(), source, outcomes.toByteArray()));
    }
    acks.clear();
  }

  /** The first `count` numbers as a little-endian column. */
  public static ByteString column(long[] numbers, int count) {
    ByteBuffer bytes = ByteBuffer.allocate(8 * count).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asLongBuffer().put(numbers, 0, count);
    return UnsafeByteOperations.unsafeWrap(bytes);
  }

  /** The numbers of a little-endian column. */
  public static long[] numbers(ByteString column) {
    long[] numbers = new long[column.size() / 8];
    column.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(numbers);
    return numbers;
  }
}
