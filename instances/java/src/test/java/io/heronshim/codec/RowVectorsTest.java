package io.heronshim.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import io.heronshim.Vectors;
import io.heronshim.stream.RemoteProtocolError;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.ConcurrentModificationException;
import java.util.HashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RowVectorsTest {
  private static final OpaqueValues NONE =
      new OpaqueValues() {
        @Override
        public byte[] write(Object value) throws UnwritableValueException {
          throw new UnwritableValueException("no " + value.getClass());
        }

        @Override
        public Object read(byte[] bytes) {
          throw new RemoteProtocolError("nothing is opaque here");
        }
      };

  static List<JsonObject> values() {
    return Vectors.cases("rows", "values");
  }

  static List<JsonObject> readable() {
    return Vectors.cases("rows", "readable");
  }

  static List<JsonObject> blobs() {
    return Vectors.cases("rows", "blobs");
  }

  static List<JsonObject> unwritable() {
    return Vectors.cases("rows", "unwritable");
  }

  static List<JsonObject> unreadable() {
    return Vectors.cases("rows", "unreadable");
  }

  static byte[] written(Object value, OpaqueValues opaque) throws UnwritableValueException {
    RowWriter writer = new RowWriter();
    writer.arrayHeader(1);
    writer.row(Collections.singletonList(value), List.of("word"), opaque);
    return writer.copy(2, writer.size());
  }

  static Object read(byte[] value, OpaqueValues opaque) {
    byte[] blob = new byte[value.length + 2];
    blob[0] = blob[1] = (byte) 0x91;
    System.arraycopy(value, 0, blob, 2, value.length);
    return RowReader.rows(blob, opaque).get(0).get(0);
  }

  @ParameterizedTest
  @MethodSource("values")
  void valueGoesInItsJavaFormAndComesBackAsItsClass(JsonObject vector) throws Exception {
    if (vector.get("java_bytes").isJsonNull()) {
      return;
    }
    Object value = Vectors.value(vector.getAsJsonObject("value"));
    byte[] form = Vectors.hex(vector, "java_bytes");
    if (!(value instanceof Map<?, ?> map && map.size() > 1)) {
      assertArrayEquals(form, written(value, NONE));
      assertArrayEquals(form, written(value, null));
    }
    assertTrue(same(value, read(form, NONE)), vector.toString());
  }

  @ParameterizedTest
  @MethodSource("values")
  void formsOfOtherLanguagesAreReadAsLongsAndDoubles(JsonObject vector) {
    Object expected = Vectors.value(vector.getAsJsonObject("read"));
    assertTrue(same(expected, read(Vectors.hex(vector, "bytes"), null)), vector.toString());
  }

  @ParameterizedTest
  @MethodSource("readable")
  void valueIsReadInAnyWidth(JsonObject vector) {
    Object expected = Vectors.value(vector.getAsJsonObject("read"));
    assertTrue(same(expected, read(Vectors.hex(vector, "bytes"), null)), vector.toString());
  }

  @ParameterizedTest
  @MethodSource("blobs")
  void blobIsRead(JsonObject vector) {
    Object expected = Vectors.value(vector.getAsJsonObject("rows"));
    assertTrue(same(expected, RowReader.rows(Vectors.hex(vector, "bytes"), null)));
  }

  @ParameterizedTest
  @MethodSource("unwritable")
  void valueWithoutFormIsRefusedByItsField(JsonObject vector) {
    Object unwritable = Vectors.value(vector.getAsJsonObject("value"));
    UnwritableValueException error =
        assertThrows(UnwritableValueException.class, () -> written(unwritable, null));
    assertTrue(error.getMessage().startsWith("field \"word\": "), error.getMessage());
  }

  @ParameterizedTest
  @MethodSource("unreadable")
  void damagedBlobIsRefused(JsonObject vector) {
    byte[] blob = Vectors.hex(vector, "bytes");
    assertThrows(RemoteProtocolError.class, () -> RowReader.rows(blob, NONE));
  }

  @Test
  void refusedRowLeavesNothingBehind() throws Exception {
    RowWriter writer = new RowWriter();
    writer.row(List.of("a"), List.of("x"), null);
    int before = writer.size();
    List<Object> row = List.of(1L, List.of(new Object()));
    assertThrows(UnwritableValueException.class, () -> writer.row(row, List.of("x", "y"), null));
    assertEquals(before, writer.size());
  }

  static List<List<?>> changing() {
    List<Object> itself = new ArrayList<>();
    itself.add(itself);
    return List.of(
        new ChangingList(true), new ChangingList(false), List.of(1L, new ChangingList(true)),
        List.of(1L, new ChangingList(false)), List.of(1L, itself));
  }

  /** Says that it has more items than it gives. */
  private static final class ChangingList extends ArrayList<Object> {
    private static final long serialVersionUID = 1L;
    private final boolean hasItems;

    ChangingList(boolean hasItems) {
      super(List.of(1L));
      this.hasItems = hasItems;
    }

    @Override
    public int size() {
      if (!hasItems) {
        throw new ConcurrentModificationException();
      }
      return 2;
    }
  }

  @ParameterizedTest
  @MethodSource("changing")
  void rowThatChangesWhileItIsWrittenLeavesNothingBehind(List<?> row) throws Exception {
    for (OpaqueValues opaque : Arrays.asList(NONE, null)) {
      RowWriter writer = new RowWriter();
      writer.row(List.of("a"), List.of("x"), opaque);
      int before = writer.size();
      UnwritableValueException error =
          assertThrows(
              UnwritableValueException.class, () -> writer.row(row, List.of("x", "y"), opaque));
      assertTrue(error.getMessage().startsWith("field \""), error.getMessage());
      assertEquals(before, writer.size());
    }
  }

  @Test
  void mapIsWrittenAsItsEntriesAre() throws Exception {
    Map<String, Object> growing =
        new HashMap<>(Map.of("k", 1L)) {
          private static final long serialVersionUID = 1L;

          @Override
          public int size() {
            return 0;
          }
        };
    assertEquals(Map.of("k", 1L), read(written(growing, null), null));
  }

  /** Its class cannot be used as a map's key. */
  private static final class Unhashable {
    @Override
    public int hashCode() {
      throw new IllegalStateException("no");
    }

    @Override
    public boolean equals(Object other) {
      return this == other;
    }
  }

  @Test
  void keyThatCannotBeHashedIsADamagedRow() {
    OpaqueValues unhashable =
        new OpaqueValues() {
          @Override
          public byte[] write(Object value) {
            return new byte[1];
          }

          @Override
          public Object read(byte[] bytes) {
            return new Unhashable();
          }
        };
    byte[] map = {(byte) 0x81, (byte) 0xd4, RowWriter.OPAQUE, 0, (byte) 0xc0};
    assertThrows(RemoteProtocolError.class, () -> read(map, unhashable));
  }

  @Test
  void otherLanguagesGetListsAndMapsOfAnyClass() throws Exception {
    List<Object> linked = new LinkedList<>(List.of((short) 7, BigInteger.ONE.shiftLeft(63)));
    assertEquals(
        List.of(7L, BigInteger.ONE.shiftLeft(63)), read(written(linked, null), null));
    assertThrows(UnwritableValueException.class, () -> written(linked, NONE));
    assertEquals(
        Map.of("k", new ArrayList<>(List.of(1L))),
        read(written(new HashMap<>(Map.of("k", List.of(1L))), null), null));
  }

  /** Equal in class and value, arrays by content, numbers by their bits. */
  static boolean same(Object left, Object right) {
    if (left instanceof byte[] bytes && right instanceof byte[] others) {
      return Arrays.equals(bytes, others);
    }
    if (left instanceof List<?> list && right instanceof List<?> others) {
      boolean equal = list.size() == others.size();
      for (int index = 0; equal && index < list.size(); index++) {
        equal = same(list.get(index), others.get(index));
      }
      return equal;
    }
    if (left instanceof Map<?, ?> map && right instanceof Map<?, ?> others) {
      return map.size() == others.size()
          && map.entrySet().stream()
              .allMatch(entry -> same(entry.getValue(), others.get(entry.getKey())));
    }
    return Objects.equals(left, right);
  }
}
