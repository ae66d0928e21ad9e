package io.heronshim.stream;

import io.heronshim.wire.v1.ErrorCode;
import java.util.Map;
import java.util.TreeMap;

/**
 * Grants credit to the stream manager for the tasks of this process.
 *
 * <p>A task's window is what it consumed in the last half second, at most WINDOW_BYTES_MAX and at
 * least one small frame, out of a pool that is divided evenly. A frame over the window goes when
 * nothing waits for its task, one at a time. Credit of an ended link is void; what it brought stays.
 */
public final class CreditReceiver {
  static final long WINDOW_BYTES_MAX = 1 << 20;

  /** What may come without credit while the pool is not full: a count that is wrong by a frame. */
  private static final long OVERDRAFT_BYTES_MAX = WINDOW_BYTES_MAX;

  private static final long POOL_BYTES = 32 << 20;
  private static final long HISTORY_NS = 500_000_000;
  private static final long KEEPS_UP_NS = 50_000_000;
  private static final int FRAMES_AHEAD = 2;

  private static final class Destination {
    long queued;
    long outstanding;
    long consumed;
    long consumedBefore;
    long period;
    long busySinceNs;
    long need;
    long extraBytes;
    boolean extra;
    boolean keepsUp;
  }

  private final Map<Integer, Destination> destinations = new TreeMap<>();
  private final Map<Integer, Long> grants = new TreeMap<>();
  private long heldBytes;
  private long extraBytes;

  /**
   * The stream manager has not enough credit for its next frame, which costs `needBytes`.
   *
   * @throws RemoteProtocolError no frame may cost so much
   */
  public void onRequest(int task, long needBytes, long nowNs) {
    if (needBytes < 0 || needBytes > FrameHeader.PAYLOAD_BYTES_MAX) {
      throw new RemoteProtocolError(
          "credit of " + Long.toUnsignedString(needBytes) + " bytes was asked for a frame to task "
              + task + "; a frame has at most " + FrameHeader.PAYLOAD_BYTES_MAX,
          ErrorCode.ERROR_CODE_TOO_LARGE);
    }
    Destination destination = destination(task, nowNs);
    destination.need = Math.max(needBytes, FrameHeader.COST_MIN_BYTES);
    serve(task, destination);
  }

  /**
   * A frame arrived and waits.
   *
   * @throws RemoteProtocolError there was far too little credit for it; nothing is kept
   */
  public void onFrame(int task, long frameBytes, long nowNs) {
    Destination destination = destination(task, nowNs);
    long cost = FrameHeader.costBytes(frameBytes);
    long left = destination.outstanding - cost;
    if (left < 0 && (left < -OVERDRAFT_BYTES_MAX || totalQueuedBytes() > POOL_BYTES)) {
      throw new RemoteProtocolError(
          "a frame to task " + task + " costs " + cost + " bytes of credit; of what was granted "
              + destination.outstanding + " are left, and at most " + OVERDRAFT_BYTES_MAX
              + " may be overdrawn",
          ErrorCode.ERROR_CODE_CREDIT);
    }
    if (destination.queued == 0) {
      destination.busySinceNs = nowNs;
    }
    destination.extra = false;
    destination.outstanding -= cost;
    destination.queued += cost;
  }

  /** A frame was executed; `isOfThisLink`: what it frees may be granted again unasked. */
  public void onConsumed(int task, long frameBytes, boolean isOfThisLink, long nowNs) {
    Destination destination = destination(task, nowNs);
    long cost = FrameHeader.costBytes(frameBytes);
    destination.queued -= cost;
    destination.consumed += frameBytes;
    heldBytes -= cost;
    long waitedNs = nowNs - destination.busySinceNs;
    if (destination.queued == 0 || waitedNs >= KEEPS_UP_NS) {
      destination.keepsUp = waitedNs < KEEPS_UP_NS;
    }
    if (destination.queued == 0 && !destination.extra) {
      noteExtra(destination, 0);
    }
    if (destination.need > 0) {
      serve(task, destination);
    } else if (isOfThisLink) {
      grantAhead(task, destination);
    }
  }

  /** The link is a new one: nothing is granted on it yet. */
  public void onNewLink() {
    grants.clear();
    for (Destination destination : destinations.values()) {
      heldBytes -= destination.outstanding;
      destination.outstanding = 0;
      destination.need = 0;
      if (destination.extra) {
        destination.extra = false;
        noteExtra(destination, 0);
      }
    }
  }

  /** Returns and forgets the grants to send: task to bytes, ascending. */
  public Map<Integer, Long> takeGrants() {
    Map<Integer, Long> taken = new TreeMap<>(grants);
    grants.clear();
    return taken;
  }

  /** Credit that is bound in frames which arrived for `task` and wait here. */
  public long queuedBytes(int task) {
    Destination destination = destinations.get(task);
    return destination == null ? 0 : destination.queued;
  }

  private long totalQueuedBytes() {
    return destinations.values().stream().mapToLong(one -> one.queued).sum();
  }

  private Destination destination(int task, long nowNs) {
    long period = nowNs / HISTORY_NS;
    Destination destination = destinations.computeIfAbsent(task, key -> new Destination());
    if (period > destination.period) {
      destination.consumedBefore = period == destination.period + 1 ? destination.consumed : 0;
      destination.consumed = 0;
      destination.period = period;
    }
    return destination;
  }

  private long window(Destination destination) {
    long frames = destination.keepsUp ? FRAMES_AHEAD : 1;
    long recent = Math.max(destination.consumed, destination.consumedBefore);
    long window =
        Math.max(frames * FrameHeader.COST_MIN_BYTES, Math.min(WINDOW_BYTES_MAX, recent));
    long share = Math.max(FrameHeader.COST_MIN_BYTES, POOL_BYTES / destinations.size());
    return Math.min(window, share);
  }

  private long room(Destination destination, long window) {
    long inUse = Math.max(destination.outstanding, 0) + destination.queued;
    return Math.min(window - inUse, POOL_BYTES + extraBytes - heldBytes);
  }

  private void serve(int task, Destination destination) {
    long missing = destination.need - destination.outstanding;
    long window = window(destination);
    long room = room(destination, window);
    long grant;
    if (missing <= 0) {
      grant = 0;
    } else if (room >= missing && (room >= window / 4 || destination.queued == 0)) {
      grant = room;
    } else if (destination.queued == 0) {
      destination.extra = true;
      noteExtra(destination, destination.extraBytes + missing);
      grant = missing;
    } else {
      return;
    }
    destination.need = 0;
    grant(task, destination, grant);
  }

  private void grantAhead(int task, Destination destination) {
    long window = window(destination);
    long grant = room(destination, window);
    if (grant >= Math.max(window / 4, FrameHeader.COST_MIN_BYTES)) {
      grant(task, destination, grant);
    }
  }

  private void grant(int task, Destination destination, long bytes) {
    if (bytes > 0) {
      destination.outstanding += bytes;
      heldBytes += bytes;
      grants.merge(task, bytes, Long::sum);
    }
  }

  private void noteExtra(Destination destination, long bytes) {
    extraBytes += bytes - destination.extraBytes;
    destination.extraBytes = bytes;
  }
}
