package io.heronshim.stream;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What a spout task does about a loss: trees opened before it get a grace, then they fail.
 *
 * <p>The grace is max(1 s, 4 times the 99th percentile of the task's complete latency).
 */
public final class FailFast {
  private static final long GRACE_US_MIN = 1_000_000;
  private static final int GRACE_LATENCIES = 4;
  private static final int TIMEOUT_SHARE = 4;
  private static final int MARKS_PER_GRACE = 16;
  private static final int CAUSE_CHARACTERS_MAX = 500;

  /** Trees opened at `untilUs` or before fail at `deadlineUs`. */
  public record Mark(long begunUs, long untilUs, long deadlineUs, String cause) {}

  private final boolean enabled;
  private final long timeoutUs;
  private final Deque<Mark> marks = new ArrayDeque<>();

  /** `timeoutUs` 0: trees do not time out, and no grace is too long. */
  public FailFast(boolean enabled, long timeoutUs) {
    this.enabled = enabled;
    this.timeoutUs = timeoutUs;
  }

  /** Marks what is open now; `latencyUs` is the p99 complete latency, negative if unknown. */
  public void onNotice(String cause, long nowUs, double latencyUs) {
    long grace = Math.max(GRACE_US_MIN, (long) (GRACE_LATENCIES * Math.max(0, latencyUs)));
    if (!enabled || timeoutUs > 0 && grace * TIMEOUT_SHARE > timeoutUs) {
      return;
    }
    Mark newest = marks.peekLast();
    long deadlineUs = Math.max(nowUs + grace, newest == null ? 0 : newest.deadlineUs());
    long begunUs = nowUs;
    String causes = cause;
    if (newest != null && nowUs - newest.begunUs() < grace / MARKS_PER_GRACE) {
      // Notices within this part of a grace share one mark, so that marks are bounded.
      marks.removeLast();
      begunUs = newest.begunUs();
      causes = joinedCause(newest.cause(), cause);
    }
    marks.addLast(new Mark(begunUs, nowUs, deadlineUs, causes));
  }

  /** One text for the causes of two losses. */
  public static String joinedCause(String first, String second) {
    String both = first.isEmpty() ? second : first + "; " + second;
    String joined = first.contains(second) ? first : both;
    return joined.substring(0, Math.min(joined.length(), CAUSE_CHARACTERS_MAX));
  }

  /** Returns and forgets the next mark whose grace is over, or null. */
  public Mark takeDue(long nowUs) {
    Mark first = marks.peekFirst();
    return first != null && nowUs >= first.deadlineUs() ? marks.removeFirst() : null;
  }

  /** The time until which open trees are marked; negative while nothing is marked. */
  public long markedUntilUs() {
    Mark newest = marks.peekLast();
    return newest == null ? -1 : newest.untilUs();
  }
}
