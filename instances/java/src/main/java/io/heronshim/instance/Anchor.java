package io.heronshim.instance;

/** A tuple that others are anchored to. */
public interface Anchor {
  /** How many trees it belongs to. */
  int rootCount();

  /** The root of one of them. */
  long root(int index);

  /** XORs the edge of a child into its ack value. */
  void addChild(long edge);
}
