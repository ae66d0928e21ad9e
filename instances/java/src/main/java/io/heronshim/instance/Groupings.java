package io.heronshim.instance;

import io.heronshim.stream.FieldHash;
import io.heronshim.wire.v1.Grouping;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;

/** The grouping rules: which tasks of a consumer get a tuple. Storm's, for one emitting task. */
final class Groupings {
  private Groupings() {}

  /**
   * The rule of one consumer of one stream.
   *
   * @param fields of the stream
   * @param tasks of the consumer, ascending
   * @param local tasks in the emitter's container
   * @param asStorm values hash as Storm hashes them
   */
  static Chooser make(
      Grouping grouping,
      List<String> fields,
      List<Integer> tasks,
      List<Integer> local,
      boolean asStorm,
      SplittableRandom random) {
    switch (grouping.getKind()) {
      case GROUPING_KIND_SHUFFLE:
        return cycle(tasks, random);
      case GROUPING_KIND_LOCAL_OR_SHUFFLE:
        List<Integer> near = tasks.stream().filter(local::contains).toList();
        return cycle(near.isEmpty() ? tasks : near, random);
      case GROUPING_KIND_ALL:
        return values -> tasks;
      case GROUPING_KIND_GLOBAL:
        List<Integer> lowest = tasks.subList(0, 1);
        return values -> lowest;
      case GROUPING_KIND_NONE:
        List<List<Integer>> singles = singles(tasks);
        Random uniform = new Random(random.nextLong());
        return values -> singles.get(uniform.nextInt(singles.size()));
      case GROUPING_KIND_FIELDS:
        return byFields(positions(grouping, fields), singles(tasks), asStorm);
      case GROUPING_KIND_PARTIAL_KEY:
        return byPartialKey(positions(grouping, fields), singles(tasks), asStorm);
      default:
        throw new IllegalArgumentException("a grouping of kind " + grouping.getKind());
    }
  }

  private static Chooser cycle(List<Integer> tasks, SplittableRandom random) {
    List<Integer> order = new ArrayList<>(tasks);
    Collections.shuffle(order, new Random(random.nextLong()));
    List<List<Integer>> singles = singles(order);
    AtomicInteger next = new AtomicInteger();
    // An author's threads may emit at the same time.
    return values -> singles.get(next.getAndUpdate(at -> at + 1 == singles.size() ? 0 : at + 1));
  }

  private static Chooser byFields(int[] at, List<List<Integer>> singles, boolean asStorm) {
    return values ->
        singles.get(FieldHash.taskIndex(selected(values, at), singles.size(), asStorm));
  }

  private static Chooser byPartialKey(int[] at, List<List<Integer>> singles, boolean asStorm) {
    long[] used = new long[singles.size()];
    return values -> {
      int[] pair =
          FieldHash.partialKeyCandidates(selected(values, at), singles.size(), asStorm);
      synchronized (used) {
        int chosen = used[pair[0]] <= used[pair[1]] ? pair[0] : pair[1];
        used[chosen]++;
        return singles.get(chosen);
      }
    };
  }

  private static List<Object> selected(List<Object> values, int[] at) {
    List<Object> selected = new ArrayList<>(at.length);
    for (int position : at) {
      selected.add(values.get(position));
    }
    return selected;
  }

  private static int[] positions(Grouping grouping, List<String> fields) {
    int[] at = grouping.getFieldsList().stream().mapToInt(fields::indexOf).toArray();
    for (int index = 0; index < at.length; index++) {
      if (at[index] < 0) {
        throw new IllegalArgumentException(
            "a stream with fields " + fields + " is grouped by " + grouping.getFields(index));
      }
    }
    return at;
  }

  private static List<List<Integer>> singles(List<Integer> tasks) {
    return tasks.stream().map(List::of).toList();
  }
}
