package io.heronshim.stream;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Fields grouping's hash: `Arrays.deepHashCode` of the selected values, the same in every language.
 *
 * <p>In heronshim's own topologies integers hash as Long and floats as Double, whatever their width,
 * as other languages know one class of each. In topologies from Storm values hash as they are.
 */
public final class FieldHash {
  private static final BigInteger LONG_MIN = BigInteger.valueOf(Long.MIN_VALUE);
  private static final BigInteger LONG_MAX = BigInteger.valueOf(Long.MAX_VALUE);

  private FieldHash() {}

  /** Position, from 0, among `count` ascending task ids of the task for these values. */
  public static int taskIndex(List<?> values, int count, boolean asStorm) {
    return Math.floorMod(asStorm ? Arrays.deepHashCode(values.toArray()) : hash(values), count);
  }

  /** `Arrays.deepHashCode` of the values as all languages know them. */
  public static int hash(List<?> values) {
    int result = 1;
    for (Object value : values) {
      result = 31 * result + valueHash(value);
    }
    return result;
  }

  /** Hash of one value as all languages know it. */
  public static int valueHash(Object value) {
    if (value == null) {
      return 0;
    }
    if (value instanceof Integer || value instanceof Short || value instanceof Byte) {
      return Long.hashCode(((Number) value).longValue());
    }
    if (value instanceof Float number) {
      return Double.hashCode(number.doubleValue());
    }
    if (value instanceof BigInteger number
        && number.compareTo(LONG_MIN) >= 0
        && number.compareTo(LONG_MAX) <= 0) {
      return Long.hashCode(number.longValue());
    }
    if (value instanceof byte[] bytes) {
      return Arrays.hashCode(bytes);
    }
    if (value instanceof List<?> list) {
      return hash(list);
    }
    if (value instanceof Map<?, ?> map) {
      int total = 0;
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        total += valueHash(entry.getKey()) ^ valueHash(entry.getValue());
      }
      return total;
    }
    if (value instanceof Object[] array) {
      // Other languages get it as a list.
      return hash(Arrays.asList(array));
    }
    return contentHash(value);
  }

  /** Hash of one value as Storm takes it, arrays by content. */
  private static int contentHash(Object value) {
    Object[] one = {value};
    // Of an array of one value, 31 comes on top.
    return Arrays.deepHashCode(one) - 31;
  }

  /**
   * Positions of a key's two tasks among ascending task ids, for partial-key grouping.
   *
   * <p>Source: Storm's RandomTwoTaskAssignmentCreator, a java.util.Random seeded by the key.
   */
  public static int[] partialKeyCandidates(List<?> values, int count, boolean asStorm) {
    ByteBuffer key = ByteBuffer.allocate(4 * values.size());
    for (Object value : values) {
      key.putInt(asStorm ? contentHash(value) : valueHash(value));
    }
    java.util.Random random = new java.util.Random(Arrays.hashCode(key.array()));
    int first = random.nextInt(count);
    int second = random.nextInt(count);
    return new int[] {first, second == first ? (second + 1) % count : second};
  }
}
