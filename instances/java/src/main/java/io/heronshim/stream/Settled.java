package io.heronshim.stream;

/** Hears what became of trees. */
public interface Settled {
  /** A tree completed after `openUs` microseconds. */
  void acked(Object id, long openUs);

  /** A tree failed. */
  void failed(Object id);
}
