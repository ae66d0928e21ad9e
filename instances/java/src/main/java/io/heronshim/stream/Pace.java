package io.heronshim.stream;

/**
 * How many rows one frame to a task may hold: about an eighth of a second of its work.
 *
 * <p>Credit counts bytes, and a smallest frame of small rows holds dozens of them: minutes of work
 * for a task that takes a second for each.
 */
public final class Pace {
  private static final long PERIOD_US = 500_000;
  private static final int FRAMES_PER_PERIOD = 4;
  private long period;
  private int rows;
  private int rowsBefore;

  /** A frame of as many rows went. */
  public void took(int count, long nowUs) {
    turnTo(nowUs / PERIOD_US);
    rows += count;
  }

  /** How many rows the next frame may hold, at least 1. */
  public int rowsMax(long nowUs) {
    turnTo(nowUs / PERIOD_US);
    return Math.max(1, Math.max(rows, rowsBefore) / FRAMES_PER_PERIOD);
  }

  private void turnTo(long now) {
    if (now <= period) {
      return;
    }
    rowsBefore = now == period + 1 ? rows : 0;
    rows = 0;
    period = now;
  }
}
