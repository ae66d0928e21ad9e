package io.heronshim.stream;

import java.math.BigInteger;
import java.util.Arrays;

/** Counts of microseconds by bucket: value v is in bucket floor(4 log2(v + 1)). */
public final class Histogram {
  private static final int BUCKETS = 256;
  private static final long SQUARE_FITS = 46_340;
  private final long[] counts = new long[BUCKETS];

  /** The bucket of a value; negative ones count as 0. */
  public static int bucket(long valueUs) {
    if (valueUs <= 0) {
      return 0;
    }
    // The floor is the bit length of (v + 1)^4, less one: no rounding can move a value.
    if (valueUs < SQUARE_FITS) {
      long square = (valueUs + 1) * (valueUs + 1);
      return 63 - Long.numberOfLeadingZeros(square * square);
    }
    return bucketOf(BigInteger.valueOf(valueUs).add(BigInteger.ONE));
  }

  private static int bucketOf(BigInteger next) {
    return Math.min(BUCKETS - 1, next.pow(4).bitLength() - 1);
  }

  /** Counts `weight` values of the same microseconds. */
  public void add(long valueUs, long weight) {
    counts[bucket(valueUs)] += weight;
  }

  /** Adds another's counts. */
  public void add(Histogram other) {
    for (int index = 0; index < BUCKETS; index++) {
      counts[index] += other.counts[index];
    }
  }

  /** Count of a bucket. */
  public long count(int bucket) {
    return counts[bucket];
  }

  /** How many values were counted. */
  public long total() {
    return Arrays.stream(counts).sum();
  }

  /** Begins again from zero. */
  public void clear() {
    Arrays.fill(counts, 0);
  }

  /** The value below which `fraction` of the counts lies, interpolated; -1 when there are none. */
  public double quantile(double fraction) {
    long total = total();
    double rank = fraction * total;
    long before = 0;
    for (int index = 0; index < BUCKETS && total > 0; index++) {
      if (counts[index] > 0 && before + counts[index] >= rank) {
        double low = Math.pow(2, index / 4.0) - 1;
        double high = Math.pow(2, (index + 1) / 4.0) - 1;
        return low + (high - low) * (rank - before) / counts[index];
      }
      before += counts[index];
    }
    return -1;
  }
}
