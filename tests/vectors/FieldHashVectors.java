import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Writes field_hash.json to standard output: {@code java FieldHashVectors.java > field_hash.json}.
 *
 * <p>The hashes are those that a Java virtual machine computes, so that every language can be held
 * to Storm's choice of task. The output is the same in every run.
 */
public final class FieldHashVectors {
  private static final int[] TASK_COUNTS = {1, 2, 3, 7, 16, 1000};
  private static final int[] CANDIDATE_TASK_COUNTS = {1, 2, 3, 4, 5, 10, 16, 1000};
  private static final long SEED = 20;

  /** Bytes inside a list or map: they hash by content, where a Java array hashes by identity. */
  private record Bytes(byte[] data) {
    @Override
    public int hashCode() {
      return Arrays.hashCode(data);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Bytes bytes && Arrays.equals(data, bytes.data);
    }
  }

  public static void main(String[] arguments) {
    StringBuilder out = new StringBuilder();
    out.append("{\n\"about\": \"See FieldHashVectors.java; hash = Arrays.deepHashCode(values)\",\n");
    out.append("\"fields\": [\n");
    appendAll(out, rows(), FieldHashVectors::fieldsVector);
    out.append("],\n\"partial_key\": [\n");
    appendAll(out, rows().stream().filter(FieldHashVectors::fewHashes).toList(),
        FieldHashVectors::partialKeyVector);
    out.append("]\n}\n");
    System.out.print(out);
  }

  private interface Writer {
    String write(List<Object> row);
  }

  private static void appendAll(StringBuilder out, List<List<Object>> rows, Writer writer) {
    List<String> lines = new ArrayList<>();
    for (List<Object> row : rows) {
      lines.add(writer.write(row));
    }
    out.append(String.join(",\n", lines)).append("\n");
  }

  private static boolean fewHashes(List<Object> row) {
    return !row.isEmpty() && row.size() <= 3;
  }

  /** One grouping: the values of its fields, their hash and the index for several task counts. */
  private static String fieldsVector(List<Object> row) {
    int hash = Arrays.deepHashCode(outer(row).toArray());
    List<String> indices = new ArrayList<>();
    for (int count : TASK_COUNTS) {
      indices.add("\"" + count + "\": " + Math.floorMod(hash, count));
    }
    return "{\"values\": " + json(row) + ", \"hash\": " + hash + ", \"index\": {"
        + String.join(", ", indices) + "}}";
  }

  /** One key: the two candidate indices of Storm's PartialKeyGrouping for several task counts. */
  private static String partialKeyVector(List<Object> row) {
    ByteBuffer key = ByteBuffer.allocate(4 * row.size());
    for (Object value : outer(row)) {
      key.putInt(value instanceof byte[] data ? Arrays.hashCode(data)
          : value == null ? 0 : value.hashCode());
    }
    List<String> candidates = new ArrayList<>();
    for (int count : CANDIDATE_TASK_COUNTS) {
      Random random = new Random(Arrays.hashCode(key.array()));
      int first = random.nextInt(count);
      int second = random.nextInt(count);
      second = first == second ? (second + 1) % count : second;
      candidates.add("\"" + count + "\": [" + first + ", " + second + "]");
    }
    return "{\"values\": " + json(row) + ", \"candidates\": {" + String.join(", ", candidates)
        + "}}";
  }

  /** The row as Storm holds it: bytes at the top are an array, deeper ones hash by content. */
  private static List<Object> outer(List<Object> row) {
    List<Object> result = new ArrayList<>();
    for (Object value : row) {
      result.add(value instanceof Bytes bytes ? bytes.data() : value);
    }
    return result;
  }

  private static List<List<Object>> rows() {
    List<Object> singles = new ArrayList<>(Arrays.asList(
        null, true, false,
        0L, 1L, -1L, 2L, -2L, 31L, 255L, 256L, 1L << 31, (1L << 31) - 1, -(1L << 31), 1L << 32,
        -(1L << 32), (1L << 53) + 1, Long.MAX_VALUE, Long.MIN_VALUE, 0x123456789abcdefL,
        0, 1, -1, Integer.MAX_VALUE, Integer.MIN_VALUE,
        BigInteger.ONE.shiftLeft(63), BigInteger.ONE.shiftLeft(64).subtract(BigInteger.ONE),
        BigInteger.ONE.shiftLeft(63).negate().subtract(BigInteger.ONE),
        new BigInteger("123456789012345678901234567890"),
        new BigInteger("-123456789012345678901234567890"),
        0.0, -0.0, 1.0, -1.0, 1.5, 0.1, Double.NaN, Double.longBitsToDouble(0xfff8000000000123L),
        Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE, Double.MAX_VALUE,
        1.0f, -1.0f, 0.1f, Float.NaN,
        "", "a", "the", "hello", "The quick brown fox", "\0", "\u00e9", "\u00ff\u0100", "\u20ac",
        "\u65e5\u672c\u8a9e", "\ud83d\ude00", "a\ud83d\ude00b\ud83c\udff4", "\ud800", "\udc00x",
        "\ue000\ud800\udc00\uffff", "1", "true", "null", "x".repeat(300), "\u00e9".repeat(257)));
    for (byte[] data : new byte[][] {{}, {0}, {1}, {-1}, {127, -128}, "the".getBytes(
        StandardCharsets.UTF_8), new byte[300]}) {
      singles.add(new Bytes(data));
    }
    singles.add(List.of());
    singles.add(List.of(1L));
    singles.add(Arrays.asList((Object) null));
    singles.add(List.of(List.of()));
    singles.add(List.of(List.of(1L, List.of("a", -1L)), 2.5, true));
    singles.add(List.of(new Bytes(new byte[] {1, 2, -3}), "x"));
    singles.add(map());
    singles.add(map("a", 1L));
    singles.add(map("a", 1L, "b", List.of(2L, "c"), "", null));
    singles.add(map("k", map("k", -1L), "z", new Bytes(new byte[] {9})));
    singles.add(map(5L, -0.0, true, "b"));

    List<List<Object>> rows = new ArrayList<>();
    rows.add(List.of());
    for (Object single : singles) {
      rows.add(Arrays.asList(single));
    }
    rows.add(Arrays.asList("a", "b"));
    rows.add(Arrays.asList("b", "a"));
    rows.add(Arrays.asList("a", null, -1L));
    rows.add(Arrays.asList(true, 1L, 1.0));
    rows.add(Arrays.asList(new Bytes(new byte[] {1}), List.of(1L), "1"));
    rows.add(Arrays.asList("user", 7L, "click", 0.25, false, List.of("x", "y")));
    Random random = new Random(SEED);
    for (int row = 0; row < 60; row++) {
      List<Object> values = new ArrayList<>();
      int width = 1 + random.nextInt(4);
      for (int field = 0; field < width; field++) {
        values.add(randomValue(random, 2));
      }
      rows.add(values);
    }
    return rows;
  }

  private static Object randomValue(Random random, int depth) {
    switch (random.nextInt(depth > 0 ? 7 : 5)) {
      case 0:
        return random.nextLong() >> random.nextInt(64);
      case 1:
        return Double.longBitsToDouble(random.nextLong());
      case 2:
        StringBuilder text = new StringBuilder();
        for (int left = random.nextInt(12); left > 0; left--) {
          text.appendCodePoint(random.nextBoolean() ? ' ' + random.nextInt(95)
              : 0x10000 + random.nextInt(0xffff));
        }
        return text.toString();
      case 3:
        byte[] data = new byte[random.nextInt(9)];
        random.nextBytes(data);
        return new Bytes(data);
      case 4:
        return random.nextBoolean();
      case 5:
        List<Object> list = new ArrayList<>();
        for (int left = random.nextInt(4); left > 0; left--) {
          list.add(randomValue(random, depth - 1));
        }
        return list;
      default:
        Map<Object, Object> map = new LinkedHashMap<>();
        for (int left = random.nextInt(4); left > 0; left--) {
          map.put("k" + random.nextInt(100), randomValue(random, depth - 1));
        }
        return map;
    }
  }

  private static Map<Object, Object> map(Object... pairs) {
    Map<Object, Object> map = new LinkedHashMap<>();
    for (int index = 0; index < pairs.length; index += 2) {
      map.put(pairs[index], pairs[index + 1]);
    }
    return map;
  }

  /** A value with its Java class: text as hex digits of UTF-16 code units, bytes as hex digits. */
  private static String json(Object value) {
    if (value == null) {
      return "{\"class\": \"null\"}";
    } else if (value instanceof Boolean) {
      return tagged("Boolean", value.toString());
    } else if (value instanceof Integer || value instanceof Long || value instanceof BigInteger) {
      return tagged(value.getClass().getSimpleName(), quoted(value.toString()));
    } else if (value instanceof Double number) {
      return "{\"class\": \"Double\", \"bits\": " + quoted(String.format("%016x",
          Double.doubleToRawLongBits(number))) + "}";
    } else if (value instanceof Float number) {
      return "{\"class\": \"Float\", \"bits\": " + quoted(String.format("%08x",
          Float.floatToRawIntBits(number))) + "}";
    } else if (value instanceof String text) {
      return string(text);
    } else if (value instanceof Bytes bytes) {
      return tagged("byte[]", quoted(HexFormat.of().formatHex(bytes.data())));
    } else if (value instanceof List<?> list) {
      return tagged("List", "[" + String.join(", ", list.stream().map(FieldHashVectors::json)
          .toList()) + "]");
    }
    List<String> pairs = new ArrayList<>();
    ((Map<?, ?>) value).forEach((key, item) -> pairs.add("[" + json(key) + ", " + json(item)
        + "]"));
    return tagged("Map", "[" + String.join(", ", pairs) + "]");
  }

  private static String string(String text) {
    StringBuilder units = new StringBuilder();
    for (char unit : text.toCharArray()) {
      units.append(String.format("%04x", (int) unit));
    }
    return "{\"class\": \"String\", \"utf16\": " + quoted(units.toString()) + "}";
  }

  private static String tagged(String name, String value) {
    return "{\"class\": " + quoted(name) + ", \"value\": " + value + "}";
  }

  private static String quoted(String text) {
    return "\"" + text + "\"";
  }
}
