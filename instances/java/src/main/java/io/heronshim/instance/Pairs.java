package io.heronshim.instance;

import java.util.Arrays;
import java.util.Collection;
import java.util.function.LongSupplier;

/** The (root, edge) pairs of one row. */
final class Pairs {
  /** Of a row without a tree. */
  static final Pairs NONE = new Pairs(0);

  private long[] roots;
  private long[] edges;
  private int size;

  private Pairs(int capacity) {
    roots = new long[capacity];
    edges = new long[capacity];
  }

  /** One pair. */
  static Pairs of(long root, long edge) {
    Pairs pairs = new Pairs(1);
    pairs.add(root, edge);
    return pairs;
  }

  /**
   * The pairs of one copy: a fresh edge for each anchor goes into the anchor's own ack value and into
   * the pair of each of its roots, as Storm's MessageId does. One edge for two anchors of one root
   * would complete a tree falsely. `draw` gives random numbers but 0.
   */
  static Pairs drawn(Collection<? extends Anchor> anchors, LongSupplier draw) {
    Pairs pairs = NONE;
    for (Anchor anchor : anchors) {
      int count = anchor.rootCount();
      if (count == 0) {
        continue;
      }
      long edge = draw.getAsLong();
      anchor.addChild(edge);
      if (pairs == NONE) {
        pairs = new Pairs(count);
      }
      for (int index = 0; index < count; index++) {
        pairs.add(anchor.root(index), edge);
      }
    }
    return pairs;
  }

  int size() {
    return size;
  }

  long root(int index) {
    return roots[index];
  }

  long edge(int index) {
    return edges[index];
  }

  void copyInto(long[] rootColumn, long[] edgeColumn, int at) {
    System.arraycopy(roots, 0, rootColumn, at, size);
    System.arraycopy(edges, 0, edgeColumn, at, size);
  }

  private void add(long root, long edge) {
    for (int index = 0; index < size; index++) {
      if (roots[index] == root) {
        edges[index] ^= edge;
        return;
      }
    }
    if (size == roots.length) {
      roots = Arrays.copyOf(roots, 2 * size);
      edges = Arrays.copyOf(edges, 2 * size);
    }
    roots[size] = root;
    edges[size] = edge;
    size++;
  }
}
