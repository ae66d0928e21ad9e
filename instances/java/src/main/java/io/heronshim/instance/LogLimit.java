package io.heronshim.instance;

/** Lets so many lines of a kind be logged in each interval. One thread at a time. */
final class LogLimit {
  private final int linesMax;
  private final long intervalNs;
  private long sinceNs;
  private int lines;

  LogLimit(int linesMax, long intervalNs) {
    this.linesMax = linesMax;
    this.intervalNs = intervalNs;
  }

  /** Whether the next line may be logged; it is counted either way. */
  boolean allows(long nowNs) {
    if (lines == 0 || nowNs - sinceNs >= intervalNs) {
      sinceNs = nowNs;
      lines = 0;
    }
    lines++;
    return lines <= linesMax;
  }
}
