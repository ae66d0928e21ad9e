package io.heronshim.codec;

import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetEncoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.RandomAccess;

/**
 * Writes rows as MessagePack, one array of values each.
 *
 * <p>Integer is always int32 (`d2`) and Long always int64 (`d3`), Float and Double have their own
 * widths, so Java tasks get the exact class back; a library's packer writes the shortest form, which
 * would lose it. What another Java task could not tell by its form goes as an extension of type
 * {@link #OPAQUE}; to other languages all lists and maps go as such, and the rest is refused.
 */
public final class RowWriter {
  /** Extension type of values that only Java reads. */
  public static final byte OPAQUE = 1;

  /** Nesting of lists and maps in one value. */
  public static final int DEPTH_MAX = 128;

  private static final BigInteger LONG_MIN = BigInteger.valueOf(Long.MIN_VALUE);
  private static final int ASCII_MAX = 0x7f;

  private final CharsetEncoder utf8 =
      StandardCharsets.UTF_8
          .newEncoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT);
  private byte[] buffer = new byte[1024];
  private int size;

  /** Bytes written so far. */
  public int size() {
    return size;
  }

  /** Bytes of its buffer. */
  public int capacity() {
    return buffer.length;
  }

  /** Forgets what was written from `newSize` on. */
  public void truncate(int newSize) {
    size = newSize;
  }

  /** A copy of bytes `from` to `to`. */
  public byte[] copy(int from, int to) {
    return Arrays.copyOfRange(buffer, from, to);
  }

  /** Forgets the first `count` bytes. */
  public void dropFirst(int count) {
    System.arraycopy(buffer, count, buffer, 0, size - count);
    size -= count;
  }

  /**
   * Appends a row.
   *
   * @param opaque for a destination in Java; null for other languages
   * @throws UnwritableValueException naming the field; nothing was appended
   */
  public void row(List<?> values, List<String> fields, OpaqueValues opaque)
      throws UnwritableValueException {
    int start = size;
    int position = 0;
    try {
      List<?> all = stable(values);
      int count = all.size();
      arrayHeader(count);
      while (position < count) {
        value(all.get(position), opaque, 0);
        position++;
      }
    } catch (UnwritableValueException error) {
      size = start;
      throw new UnwritableValueException(field(fields, position) + error.getMessage());
    } catch (RuntimeException | StackOverflowError error) {
      // An author's list changed meanwhile, or holds itself: half a row would be read as another.
      size = start;
      throw new UnwritableValueException(
          field(fields, position) + "a value cannot be read: " + error.getClass().getName()
              + "; is it changed by another thread meanwhile, or does it hold itself?");
    }
  }

  private static String field(List<String> fields, int position) {
    return "field \"" + (position < fields.size() ? fields.get(position) : "#" + position) + "\": ";
  }

  /** The list, or a copy, of which exactly as many items can be got as it says now, or none. */
  private static List<?> stable(List<?> list) {
    return list instanceof RandomAccess ? list : Arrays.asList(list.toArray());
  }

  /** Appends what another writer holds from `from` on. */
  public void append(RowWriter other, int from) {
    int count = other.size - from;
    ensure(count);
    System.arraycopy(other.buffer, from, buffer, size, count);
    size += count;
  }

  /** Appends the head of an array. */
  public void arrayHeader(int count) {
    header(count, 0x90, 0xdc, 0xdd);
  }

  private void value(Object value, OpaqueValues opaque, int depth) throws UnwritableValueException {
    if (value == null) {
      put(0xc0);
    } else if (value instanceof String text) {
      text(text);
    } else if (value instanceof Integer number) {
      put(0xd2);
      putInt(number);
    } else if (value instanceof Long number) {
      integer64(number);
    } else if (value instanceof Double number) {
      put(0xcb);
      putLong(Double.doubleToRawLongBits(number));
    } else if (value instanceof Boolean flag) {
      put(flag ? 0xc3 : 0xc2);
    } else if (value instanceof Float number) {
      put(0xca);
      putInt(Float.floatToRawIntBits(number));
    } else if (value instanceof byte[] bytes) {
      binary(bytes);
    } else if (value instanceof List<?> list && (opaque == null || isPlain(value))) {
      list(list, opaque, depth + 1);
    } else if (value instanceof Map<?, ?> map && (opaque == null || isPlain(value))) {
      map(map, opaque, depth + 1);
    } else if (opaque != null) {
      extension(opaque.write(value));
    } else {
      other(value, depth);
    }
  }

  /** Whether a value comes back as the class that it is, and so does all that it holds. */
  private static boolean isPlain(Object value) {
    if (value instanceof Map<?, ?> map) {
      return value.getClass() == HashMap.class
          && map.keySet().stream().allMatch(RowWriter::isPlain)
          && map.values().stream().allMatch(RowWriter::isPlain);
    }
    if (value instanceof Collection<?> list) {
      return value.getClass() == ArrayList.class && list.stream().allMatch(RowWriter::isPlain);
    }
    return value == null
        || value instanceof String
        || value instanceof Integer
        || value instanceof Long
        || value instanceof Double
        || value instanceof Boolean
        || value instanceof Float
        || value instanceof byte[];
  }

  private void list(List<?> list, OpaqueValues opaque, int depth) throws UnwritableValueException {
    checkDepth(depth);
    List<?> items = stable(list);
    int count = items.size();
    arrayHeader(count);
    for (int index = 0; index < count; index++) {
      value(items.get(index), opaque, depth);
    }
  }

  private void map(Map<?, ?> map, OpaqueValues opaque, int depth) throws UnwritableValueException {
    checkDepth(depth);
    // Its size now and what its iterator gives later may differ where other threads change it.
    Object[] entries = map.entrySet().toArray();
    header(entries.length, 0x80, 0xde, 0xdf);
    for (Object each : entries) {
      Map.Entry<?, ?> entry = (Map.Entry<?, ?>) each;
      value(entry.getKey(), opaque, depth);
      value(entry.getValue(), opaque, depth);
    }
  }

  /** Classes that only destinations in other languages get in these forms. */
  private void other(Object value, int depth) throws UnwritableValueException {
    if (value instanceof Short || value instanceof Byte) {
      integer64(((Number) value).longValue());
    } else if (value instanceof BigInteger number && number.signum() >= 0 && number.bitLength() <= 64) {
      put(0xcf);
      putLong(number.longValue());
    } else if (value instanceof BigInteger number
        && number.signum() < 0
        && number.compareTo(LONG_MIN) >= 0) {
      integer64(number.longValue());
    } else if (value instanceof Object[] array) {
      list(Arrays.asList(array), null, depth + 1);
    } else {
      throw new UnwritableValueException(
          "a value of class "
              + value.getClass().getName()
              + " has no form that other languages read; emit text, bytes, numbers of at most 64"
              + " bits, true, false, null, lists or maps");
    }
  }

  private static void checkDepth(int depth) throws UnwritableValueException {
    if (depth > DEPTH_MAX) {
      throw new UnwritableValueException(
          "a value is nested deeper than " + DEPTH_MAX + " levels");
    }
  }

  private void integer64(long number) {
    put(0xd3);
    putLong(number);
  }

  private void text(String text) throws UnwritableValueException {
    int length = text.length();
    if (length < 32 && isAscii(text)) {
      put(0xa0 | length);
      ensure(length);
      for (int index = 0; index < length; index++) {
        buffer[size++] = (byte) text.charAt(index);
      }
      return;
    }
    try {
      ByteBuffer encoded = utf8.encode(CharBuffer.wrap(text));
      int bytes = encoded.remaining();
      if (bytes < 32) {
        put(0xa0 | bytes);
      } else {
        length8(bytes, 0xd9, 0xda, 0xdb);
      }
      ensure(bytes);
      encoded.get(buffer, size, bytes);
      size += bytes;
    } catch (CharacterCodingException error) {
      throw new UnwritableValueException("a text holds a lone surrogate, which UTF-8 has no form for");
    }
  }

  private static boolean isAscii(String text) {
    for (int index = 0; index < text.length(); index++) {
      if (text.charAt(index) > ASCII_MAX) {
        return false;
      }
    }
    return true;
  }

  private void binary(byte[] bytes) {
    length8(bytes.length, 0xc4, 0xc5, 0xc6);
    putBytes(bytes);
  }

  private void extension(byte[] bytes) {
    length8(bytes.length, 0xc7, 0xc8, 0xc9);
    put(OPAQUE);
    putBytes(bytes);
  }

  private void length8(int length, int with8, int with16, int with32) {
    if (length < 1 << 8) {
      put(with8);
      put(length);
    } else {
      length16(length, with16, with32);
    }
  }

  private void header(int count, int fixed, int with16, int with32) {
    if (count < 16) {
      put(fixed | count);
    } else {
      length16(count, with16, with32);
    }
  }

  private void length16(int length, int with16, int with32) {
    if (length < 1 << 16) {
      put(with16);
      put(length >>> 8);
      put(length);
    } else {
      put(with32);
      putInt(length);
    }
  }

  private void put(int octet) {
    ensure(1);
    buffer[size++] = (byte) octet;
  }

  private void putInt(int number) {
    ensure(4);
    for (int shift = 24; shift >= 0; shift -= 8) {
      buffer[size++] = (byte) (number >>> shift);
    }
  }

  private void putLong(long number) {
    putInt((int) (number >>> 32));
    putInt((int) number);
  }

  private void putBytes(byte[] bytes) {
    ensure(bytes.length);
    System.arraycopy(bytes, 0, buffer, size, bytes.length);
    size += bytes.length;
  }

  private void ensure(int more) {
    if (size + more > buffer.length) {
      buffer = Arrays.copyOf(buffer, Math.max(2 * buffer.length, size + more));
    }
  }
}
