package io.heronshim.instance;

import java.util.List;

/** One row that a bolt takes. */
public final class InputTuple implements Anchor {
  private static final long[] NONE = {};
  private final List<Object> values;
  private final String component;
  private final int task;
  private final String stream;
  private final long[] roots;
  private final long[] edges;
  private long children;

  /** `roots` and `edges` are its pairs, of equal length. */
  InputTuple(
      List<Object> values, String component, int task, String stream, long[] roots, long[] edges) {
    this.values = values;
    this.component = component;
    this.task = task;
    this.stream = stream;
    this.roots = roots;
    this.edges = edges;
  }

  /** A tuple without a tree. */
  static InputTuple untracked(List<Object> values, String component, int task, String stream) {
    return new InputTuple(values, component, task, stream, NONE, NONE);
  }

  /** In the order of the stream's fields. */
  public List<Object> values() {
    return values;
  }

  /** The component that emitted it. */
  public String component() {
    return component;
  }

  /** The task that emitted it. */
  public int task() {
    return task;
  }

  /** Its stream. */
  public String stream() {
    return stream;
  }

  @Override
  public int rootCount() {
    return roots.length;
  }

  @Override
  public long root(int index) {
    return roots[index];
  }

  /** The edge beside a root. */
  public long edge(int index) {
    return edges[index];
  }

  @Override
  public synchronized void addChild(long edge) {
    children ^= edge;
  }

  /** XOR of the edges of what was anchored to it. */
  public synchronized long children() {
    return children;
  }
}
