package io.heronshim.stream;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.heronshim.Vectors;
import io.heronshim.codec.DataBatches;
import io.heronshim.wire.v1.Outcomes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class StreamVectorsTest {
  static List<JsonObject> fields() {
    return Vectors.cases("field_hash", "fields");
  }

  static List<JsonObject> partialKeys() {
    return Vectors.cases("field_hash", "partial_key");
  }

  static List<JsonObject> combining() {
    return Vectors.cases("outcomes", "combining");
  }

  static List<JsonObject> sequences() {
    return Vectors.cases("trees", "sequences");
  }

  @ParameterizedTest
  @MethodSource("fields")
  void hashAndTaskAreAsInEveryLanguage(JsonObject vector) {
    List<?> values = (List<?>) Vectors.value(vector.getAsJsonObject("values"));
    boolean asStorm = holdsInteger(vector.getAsJsonObject("values"));
    int hash =
        asStorm ? Arrays.deepHashCode(values.toArray()) : FieldHash.hash(values);
    assertEquals(vector.get("hash").getAsInt(), hash);
    for (Map.Entry<String, JsonElement> entry : vector.getAsJsonObject("index").entrySet()) {
      int count = Integer.parseInt(entry.getKey());
      assertEquals(entry.getValue().getAsInt(), FieldHash.taskIndex(values, count, asStorm));
    }
  }

  /** Vectors with an Integer or a Float show Java's own hash, as topologies from Storm have it. */
  private static boolean holdsInteger(JsonObject tagged) {
    String text = tagged.toString();
    return text.contains("\"Integer\"") || text.contains("\"Float\"");
  }

  @ParameterizedTest
  @MethodSource("partialKeys")
  void partialKeyCandidatesAreStorms(JsonObject vector) {
    List<?> values = (List<?>) Vectors.value(vector.getAsJsonObject("values"));
    boolean asStorm = holdsInteger(vector.getAsJsonObject("values"));
    for (Map.Entry<String, JsonElement> entry : vector.getAsJsonObject("candidates").entrySet()) {
      JsonArray both = entry.getValue().getAsJsonArray();
      assertArrayEquals(
          new int[] {both.get(0).getAsInt(), both.get(1).getAsInt()},
          FieldHash.partialKeyCandidates(values, Integer.parseInt(entry.getKey()), asStorm));
    }
  }

  @ParameterizedTest
  @MethodSource("combining")
  void outcomesOfOneFlushCombine(JsonObject vector) {
    OutcomeBuffer buffer = new OutcomeBuffer(3);
    for (JsonElement element : vector.getAsJsonArray("did")) {
      JsonArray did = element.getAsJsonArray();
      if (did.get(0).getAsInt() == AckTracker.ACK) {
        buffer.ack(Vectors.number(did.get(1)), Vectors.number(did.get(2)));
      } else {
        buffer.fail(Vectors.number(did.get(1)));
      }
    }
    List<String> sent = new ArrayList<>();
    for (Frame frame : buffer.take()) {
      sent.add(frame.destination() + " " + entries(DataBatches.outcomes(frame.payload())));
    }
    List<String> expected = new ArrayList<>();
    for (JsonElement frame : vector.getAsJsonArray("frames")) {
      JsonArray pair = frame.getAsJsonArray();
      expected.add(pair.get(0).getAsInt() + " " + pair.get(1).getAsJsonArray());
    }
    assertEquals(expected, sent);
  }

  private static JsonArray entries(Outcomes outcomes) {
    long[] roots = OutcomeBuffer.numbers(outcomes.getRoots());
    long[] xors = OutcomeBuffer.numbers(outcomes.getXors());
    JsonArray entries = new JsonArray();
    for (int index = 0; index < roots.length; index++) {
      JsonArray entry = new JsonArray();
      entry.add(outcomes.getKinds().isEmpty() ? 0 : outcomes.getKinds().byteAt(index));
      entry.add(String.format("%016x", roots[index]));
      entry.add(String.format("%016x", xors[index]));
      entries.add(entry);
    }
    return entries;
  }

  @ParameterizedTest
  @MethodSource("sequences")
  void treesSettleAsTheirXorsSay(JsonObject vector) {
    Trees trees = new Trees();
    long stale = 0;
    for (JsonObject step : Vectors.objects(vector.getAsJsonArray("steps"))) {
      trees.acked.clear();
      trees.failed.clear();
      if (step.has("open")) {
        trees.open(step.get("open").getAsString(), step.getAsJsonArray("edges"));
        continue;
      }
      for (JsonElement entry : step.getAsJsonArray("outcomes")) {
        trees.settle(entry.getAsJsonArray());
      }
      stale += step.get("stale").getAsInt();
      assertEquals(texts(step.getAsJsonArray("acked")), trees.acked);
      assertEquals(texts(step.getAsJsonArray("failed")), trees.failed);
      assertEquals(stale, trees.stale());
    }
    for (JsonElement root : vector.getAsJsonArray("still_open")) {
      assertTrue(trees.isOpen(root.getAsString()));
    }
  }

  private static TreeSet<Object> texts(JsonArray array) {
    TreeSet<Object> texts = new TreeSet<>();
    array.forEach(element -> texts.add(element.getAsString()));
    return texts;
  }

  /** Our trackers, told of a vector's roots by roots of their own. */
  private static final class Trees implements Settled {
    final TreeSet<Object> acked = new TreeSet<>();
    final TreeSet<Object> failed = new TreeSet<>();
    private final Map<Integer, AckTracker> trackers = new HashMap<>();
    private final Map<String, Long> roots = new HashMap<>();

    void open(String root, JsonArray edges) {
      long value = 0;
      for (JsonElement edge : edges) {
        value ^= Vectors.number(edge);
      }
      roots.put(root, tracker(root).open(root, value, 0));
    }

    void settle(JsonArray entry) {
      String root = entry.get(1).getAsString();
      long ours = roots.getOrDefault(root, Long.parseUnsignedLong(root, 16));
      tracker(root)
          .settle(entry.get(0).getAsInt(), ours, Vectors.number(entry.get(2)), 1, this);
    }

    boolean isOpen(String root) {
      return tracker(root).isOpen(roots.get(root));
    }

    long stale() {
      return trackers.values().stream().mapToLong(AckTracker::staleCount).sum();
    }

    @Override
    public void acked(Object id, long openUs) {
      acked.add(id);
    }

    @Override
    public void failed(Object id) {
      failed.add(id);
    }

    private AckTracker tracker(String root) {
      int task = AckTracker.taskOfRoot(Long.parseUnsignedLong(root, 16));
      return trackers.computeIfAbsent(
          task, key -> new AckTracker(key, new SplittableRandom(key), 64));
    }
  }

  @Test
  void treesTimeOutBetweenOneAndOneAndAQuarterTimeouts() {
    Trees heard = new Trees();
    AckTracker tracker = new AckTracker(1, new SplittableRandom(1), 64);
    long kept = tracker.open("kept", 5, 0);
    tracker.open("late", 7, 0);
    for (int rotation = 0; rotation < AckTracker.EPOCHS_PER_TIMEOUT; rotation++) {
      assertEquals(0, tracker.rotate(heard));
    }
    tracker.settle(AckTracker.RESET, kept, 0, 1, heard);
    assertEquals(1, tracker.rotate(heard));
    assertEquals(new TreeSet<Object>(List.of("late")), heard.failed);
    assertTrue(tracker.isOpen(kept));
    assertEquals(1, tracker.openCount());
  }

  @Test
  void slotsAreUsedAgainUnderOtherRootsAndColumnsGrow() {
    Trees heard = new Trees();
    AckTracker tracker = new AckTracker(1, new SplittableRandom(1), 64);
    long first = tracker.open(0, 9, 0);
    tracker.settle(AckTracker.ACK, first, 9, 1, heard);
    assertFalse(tracker.isOpen(first));
    Map<Long, Integer> open = new HashMap<>();
    for (int id = 0; id < 1000; id++) {
      open.put(tracker.open(id, id + 1, 0), id);
    }
    assertEquals(1000, open.size());
    assertFalse(open.containsKey(first));
    heard.acked.clear();
    open.forEach((root, id) -> tracker.settle(AckTracker.ACK, root, id + 1, 1, heard));
    assertEquals(1000, heard.acked.size());
    assertEquals(0, tracker.openCount());
  }

  @Test
  void bucketsAreFloorsOfFourLogarithms() {
    for (long value : new long[] {0, 1, 2, 3, 7, 100, 46339, 46340, 46341, 1L << 40}) {
      double exact = 4 * Math.log(value + 1) / Math.log(2);
      assertEquals((int) Math.floor(exact + 1e-9), Histogram.bucket(value), "of " + value);
    }
  }
}
