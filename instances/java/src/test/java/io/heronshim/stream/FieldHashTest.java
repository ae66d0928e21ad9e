package io.heronshim.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FieldHashTest {
  @Test
  void arrayHashesAsTheListThatOtherLanguagesGet() {
    Object[] array = {1, 2.5f, "heron", new Object[] {(short) 7}};
    List<Object> list = List.of(1L, 2.5, "heron", List.of(7L));
    assertEquals(FieldHash.valueHash(list), FieldHash.valueHash(array));
    assertEquals(FieldHash.hash(List.of(list)), FieldHash.hash(List.of((Object) array)));
  }

  @Test
  void arraysOfNumbersHashByContent() {
    assertEquals(
        FieldHash.valueHash(new int[] {1, 2}), FieldHash.valueHash(new int[] {1, 2}));
    assertEquals(
        FieldHash.valueHash(Map.of("k", new long[] {3})),
        FieldHash.valueHash(Map.of("k", new long[] {3})));
  }
}
