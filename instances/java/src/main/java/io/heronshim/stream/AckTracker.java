package io.heronshim.stream;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Open tuple trees of one spout task, as columns.
 *
 * <p>A tree completes when the XOR of all its edges is zero (Storm's acker). Its root is `task (16
 * bits) | tag (24) | slot (24)`: the slot is the row of the columns, the tag starts at random and
 * grows at each reuse, so an outcome of a tree that is gone is known as stale and dropped. Free
 * slots are handed out first in, first out. A free slot's root is the one that it gets at its next
 * use; its epoch is 0.
 *
 * <p>One thread at a time.
 */
public final class AckTracker {
  /** Kinds of outcomes. */
  public static final int ACK = 0;

  public static final int FAIL = 1;
  public static final int RESET = 2;

  /** A tree fails between 1 and 1 + 1/4 times the timeout (Storm: between 1 and 2). */
  public static final int EPOCHS_PER_TIMEOUT = 4;

  private static final int SLOT_BITS = 24;
  private static final int SLOTS_MAX = 1 << SLOT_BITS;
  private static final int SLOT_MASK = SLOTS_MAX - 1;
  private static final long TAG_STEP = 1L << SLOT_BITS;
  private static final int TASK_SHIFT = 48;
  private static final long BELOW_TASK = (1L << TASK_SHIFT) - 1;

  private final long taskBits;
  private final SplittableRandom random;
  private long[] values = {};
  private long[] roots = {};
  private long[] openedUs = {};
  private long[] resetUs = {};
  private byte[] epochs = {};
  private Object[] ids = {};
  private int[] free = {};
  private int freeHead;
  private int freeCount;
  private int epoch = 1;
  private int openCount;
  private long staleCount;

  /** A tracker of one task; `capacity` trees fit before its columns grow. */
  public AckTracker(int task, SplittableRandom random, int capacity) {
    this.taskBits = (long) task << TASK_SHIFT;
    this.random = random;
    grow(Math.max(64, capacity));
  }

  /** The spout task that a root belongs to. */
  public static int taskOfRoot(long root) {
    return (int) (root >>> TASK_SHIFT);
  }

  /** A fresh random edge, never 0. */
  public static long drawEdge(SplittableRandom random) {
    long edge;
    do {
      edge = random.nextLong();
    } while (edge == 0);
    return edge;
  }

  /** Opens a tree whose copies' edges have the XOR `value`; returns its root. */
  public long open(Object id, long value, long nowUs) {
    if (freeCount == 0) {
      grow(Math.min(2 * roots.length, SLOTS_MAX));
    }
    int slot = free[freeHead];
    freeHead = freeHead + 1 == free.length ? 0 : freeHead + 1;
    freeCount--;
    values[slot] = value;
    epochs[slot] = (byte) epoch;
    openedUs[slot] = nowUs;
    ids[slot] = id;
    openCount++;
    return roots[slot];
  }

  /** Applies one outcome; a tree that is not open under exactly this root is counted as stale. */
  public void settle(int kind, long root, long xor, long nowUs, Settled settled) {
    int slot = (int) root & SLOT_MASK;
    if (!isOpen(root)) {
      staleCount++;
    } else if (kind == ACK) {
      values[slot] ^= xor;
      if (values[slot] == 0) {
        long openUs = nowUs - openedUs[slot];
        settled.acked(close(slot), openUs);
      }
    } else if (kind == FAIL) {
      settled.failed(close(slot));
    } else {
      epochs[slot] = (byte) epoch;
      resetUs[slot] = nowUs;
    }
  }

  /** Begins a new epoch, one each timeout / EPOCHS_PER_TIMEOUT; trees that timed out fail. */
  public int rotate(Settled settled) {
    epoch = epoch % 255 + 1;
    int count = 0;
    for (int slot = 0; slot < epochs.length; slot++) {
      int since = Byte.toUnsignedInt(epochs[slot]);
      if (since != 0 && Math.floorMod(epoch - since, 255) > EPOCHS_PER_TIMEOUT) {
        settled.failed(close(slot));
        count++;
      }
    }
    return count;
  }

  /** Fails trees opened at `untilUs` or before, and not reset after it; returns how many. */
  public int failOpenSince(long untilUs, Settled settled) {
    int count = 0;
    for (int slot = 0; slot < epochs.length; slot++) {
      // A reset of an earlier tree of the slot is older than the tree itself.
      if (epochs[slot] != 0 && openedUs[slot] <= untilUs && resetUs[slot] <= untilUs) {
        settled.failed(close(slot));
        count++;
      }
    }
    return count;
  }

  /** Whether the tree of `root` is open. */
  public boolean isOpen(long root) {
    int slot = (int) root & SLOT_MASK;
    return slot < roots.length && roots[slot] == root && epochs[slot] != 0;
  }

  /** Trees that are open. */
  public int openCount() {
    return openCount;
  }

  /** Outcomes of trees that were not open, dropped. */
  public long staleCount() {
    return staleCount;
  }

  private Object close(int slot) {
    Object id = ids[slot];
    ids[slot] = null;
    roots[slot] = taskBits | ((roots[slot] + TAG_STEP) & BELOW_TASK);
    epochs[slot] = 0;
    int tail = freeHead + freeCount;
    free[tail >= free.length ? tail - free.length : tail] = slot;
    freeCount++;
    openCount--;
    return id;
  }

  private void grow(int capacity) {
    int old = roots.length;
    if (capacity == old) {
      throw new IllegalStateException(
          "over " + SLOTS_MAX + " open trees; set max_spout_pending");
    }
    int[] all = new int[capacity];
    for (int index = 0; index < freeCount; index++) {
      all[index] = free[(freeHead + index) % free.length];
    }
    values = Arrays.copyOf(values, capacity);
    roots = Arrays.copyOf(roots, capacity);
    openedUs = Arrays.copyOf(openedUs, capacity);
    resetUs = Arrays.copyOf(resetUs, capacity);
    epochs = Arrays.copyOf(epochs, capacity);
    ids = Arrays.copyOf(ids, capacity);
    for (int slot = old; slot < capacity; slot++) {
      long tag = random.nextLong() & (TAG_STEP - 1);
      roots[slot] = taskBits | tag << SLOT_BITS | slot;
      all[freeCount++] = slot;
    }
    free = all;
    freeHead = 0;
  }
}
