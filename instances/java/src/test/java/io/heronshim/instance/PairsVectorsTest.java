package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.heronshim.Vectors;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class PairsVectorsTest {
  static List<JsonObject> emits() {
    return Vectors.cases("trees", "emits");
  }

  @ParameterizedTest
  @MethodSource("emits")
  void pairsAndAcksAreThoseOfEveryLanguage(JsonObject vector) {
    List<InputTuple> inputs = new ArrayList<>();
    for (JsonElement pairs : vector.getAsJsonArray("inputs")) {
      inputs.add(input(pairs.getAsJsonArray()));
    }
    Iterator<JsonElement> draws = vector.getAsJsonArray("draws").iterator();
    Iterator<JsonElement> rows = vector.getAsJsonArray("rows").iterator();
    for (JsonObject emit : Vectors.objects(vector.getAsJsonArray("emits"))) {
      List<InputTuple> anchors = new ArrayList<>();
      emit.getAsJsonArray("anchors").forEach(index -> anchors.add(inputs.get(index.getAsInt())));
      for (int copy = 0; copy < emit.get("copies").getAsInt(); copy++) {
        Pairs pairs = Pairs.drawn(anchors, () -> Vectors.number(draws.next()));
        assertEquals(texts(rows.next().getAsJsonArray()), texts(pairs));
      }
    }
    assertEquals(false, draws.hasNext() || rows.hasNext());
    for (int index = 0; index < inputs.size(); index++) {
      JsonArray expected = vector.getAsJsonArray("acks").get(index).getAsJsonArray();
      assertEquals(texts(expected), acks(inputs.get(index)));
    }
  }

  private static InputTuple input(JsonArray pairs) {
    long[] roots = new long[pairs.size()];
    long[] edges = new long[pairs.size()];
    for (int index = 0; index < roots.length; index++) {
      roots[index] = Vectors.number(pairs.get(index).getAsJsonArray().get(0));
      edges[index] = Vectors.number(pairs.get(index).getAsJsonArray().get(1));
    }
    return new InputTuple(List.of(), "spout", 1, "default", roots, edges);
  }

  private static TreeSet<String> texts(JsonArray pairs) {
    TreeSet<String> texts = new TreeSet<>();
    for (JsonElement each : pairs) {
      JsonArray pair = each.getAsJsonArray();
      texts.add(pair.get(0).getAsString() + " " + pair.get(1).getAsString());
    }
    return texts;
  }

  private static TreeSet<String> texts(Pairs pairs) {
    TreeSet<String> texts = new TreeSet<>();
    for (int index = 0; index < pairs.size(); index++) {
      texts.add(text(pairs.root(index), pairs.edge(index)));
    }
    return texts;
  }

  private static TreeSet<String> acks(InputTuple input) {
    TreeSet<String> texts = new TreeSet<>();
    for (int index = 0; index < input.rootCount(); index++) {
      texts.add(text(input.root(index), input.edge(index) ^ input.children()));
    }
    return texts;
  }

  private static String text(long root, long xor) {
    return String.format("%016x %016x", root, xor);
  }
}
