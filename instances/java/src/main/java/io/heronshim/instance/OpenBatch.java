package io.heronshim.instance;

import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.RowWriter;
import io.heronshim.codec.UnwritableValueException;
import java.util.Arrays;
import java.util.List;

/**
 * Rows from one task to one task, of all its streams in the order of their emits.
 *
 * <p>An author's threads append; whoever holds the IO lock takes. Its own lock is taken after the IO
 * lock, never before it.
 */
final class OpenBatch {
  /** A row over this fails; a batch over it is split. Half of the largest frame. */
  static final int BYTES_LIMIT = 32 << 20;

  private static final int COMPACT_ROWS = 256;
  private static final int ENCODER_BYTES_KEPT = 1 << 20;

  /** Of rows being encoded, which asks the author's values: outside of this batch's lock. */
  private static final ThreadLocal<RowWriter> ENCODER = ThreadLocal.withInitial(RowWriter::new);

  final String component;
  final int source;
  final Target to;

  /** Whether both its tasks lie on one cycle: it holds nobody back. */
  final boolean inCycle;

  private final OpaqueValues opaque;
  private final RowWriter writer = new RowWriter();
  private int[] ends = new int[64];
  private Route[] routes = new Route[64];
  private Object[] ids = new Object[64];
  private int[] pairEnds = new int[64];
  private long[] roots = new long[64];
  private long[] edges = new long[64];
  private int head;
  private int tail;

  /** `opaque`: null for a target in another language. */
  OpenBatch(String component, int source, Target to, boolean inCycle, OpaqueValues opaque) {
    this.component = component;
    this.source = source;
    this.to = to;
    this.inCycle = inCycle;
    this.opaque = opaque;
  }

  /** Rows taken out as one frame; `ids` are of trees that open when it leaves. */
  record Rows(
      Route route, int count, byte[] blob, Object[] ids, int[] pairCounts, long[] roots, long[] edges) {
    /** How many ids there are. */
    int idCount() {
      int count = 0;
      for (Object id : ids) {
        if (id != null) {
          count++;
        }
      }
      return count;
    }
  }

  /**
   * Appends a row.
   *
   * @param id of the tree of its only copy, which opens when the row leaves; or null
   * @param pairs (root, edge) pairs of the row otherwise
   */
  void append(Route route, List<Object> values, Object id, Pairs pairs)
      throws UnwritableValueException {
    RowWriter encoder = ENCODER.get();
    // Not always 0: an author's value may emit while it is serialized.
    int from = encoder.size();
    try {
      encoder.row(values, route.fields, opaque);
      int bytes = encoder.size() - from;
      if (bytes > BYTES_LIMIT) {
        throw new UnwritableValueException("a row of " + bytes + " bytes is over " + BYTES_LIMIT);
      }
      append(encoder, from, route, id, pairs);
    } finally {
      encoder.truncate(from);
      if (from == 0 && encoder.capacity() > ENCODER_BYTES_KEPT) {
        ENCODER.remove();
      }
    }
  }

  private synchronized void append(
      RowWriter encoder, int from, Route route, Object id, Pairs pairs) {
    writer.append(encoder, from);
    if (tail == ends.length) {
      grow();
    }
    ends[tail] = writer.size();
    routes[tail] = route;
    ids[tail] = id;
    int pairStart = tail == 0 ? 0 : pairEnds[tail - 1];
    int pairEnd = pairStart + pairs.size();
    if (pairEnd > roots.length) {
      int size = Math.max(pairEnd, 2 * roots.length);
      roots = Arrays.copyOf(roots, size);
      edges = Arrays.copyOf(edges, size);
    }
    pairs.copyInto(roots, edges, pairStart);
    pairEnds[tail] = pairEnd;
    tail++;
  }

  /** Rows that wait here. */
  synchronized int rowCount() {
    return tail - head;
  }

  /** Bytes that wait here, without their pairs. */
  synchronized int bytes() {
    return tail == head ? 0 : ends[tail - 1] - start();
  }

  /** Takes the first rows, of one stream: at most `rowsMax`, of about `bytesMax`, at least one. */
  synchronized Rows take(int rowsMax, long bytesMax) {
    int start = start();
    int firstPair = head == 0 ? 0 : pairEnds[head - 1];
    Route route = routes[head];
    int end = head + 1;
    while (end < tail
        && end - head < rowsMax
        && routes[end] == route
        && bytesTo(end + 1, start, firstPair) <= bytesMax) {
      end++;
    }
    int count = end - head;
    RowWriter array = new RowWriter();
    array.arrayHeader(count);
    byte[] headBytes = array.copy(0, array.size());
    byte[] rows = writer.copy(start, ends[end - 1]);
    byte[] blob = Arrays.copyOf(headBytes, headBytes.length + rows.length);
    System.arraycopy(rows, 0, blob, headBytes.length, rows.length);
    int[] counts = new int[count];
    for (int row = head; row < end; row++) {
      counts[row - head] = pairEnds[row] - (row == 0 ? 0 : pairEnds[row - 1]);
    }
    Rows taken =
        new Rows(
            route,
            count,
            blob,
            Arrays.copyOfRange(ids, head, end),
            counts,
            Arrays.copyOfRange(roots, firstPair, pairEnds[end - 1]),
            Arrays.copyOfRange(edges, firstPair, pairEnds[end - 1]));
    Arrays.fill(ids, head, end, null);
    head = end;
    if (head == tail || head >= COMPACT_ROWS && head > (tail - head)) {
      compact();
    }
    return taken;
  }

  private long bytesTo(int end, int start, int firstPair) {
    return ends[end - 1] - start + 16L * (pairEnds[end - 1] - firstPair) + 17L * (end - head);
  }

  private int start() {
    return head == 0 ? 0 : ends[head - 1];
  }

  private void compact() {
    int droppedBytes = start();
    int droppedPairs = head == 0 ? 0 : pairEnds[head - 1];
    int count = tail - head;
    int pairCount = tail == 0 ? 0 : pairEnds[tail - 1] - droppedPairs;
    writer.dropFirst(droppedBytes);
    System.arraycopy(roots, droppedPairs, roots, 0, pairCount);
    System.arraycopy(edges, droppedPairs, edges, 0, pairCount);
    for (int row = 0; row < count; row++) {
      ends[row] = ends[head + row] - droppedBytes;
      pairEnds[row] = pairEnds[head + row] - droppedPairs;
      routes[row] = routes[head + row];
      ids[row] = ids[head + row];
    }
    Arrays.fill(ids, count, tail, null);
    head = 0;
    tail = count;
  }

  private void grow() {
    int size = 2 * ends.length;
    ends = Arrays.copyOf(ends, size);
    routes = Arrays.copyOf(routes, size);
    ids = Arrays.copyOf(ids, size);
    pairEnds = Arrays.copyOf(pairEnds, size);
  }
}
