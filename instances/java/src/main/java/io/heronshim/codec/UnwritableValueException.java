package io.heronshim.codec;

/** A value has no form on the wire for the destination's language. */
public final class UnwritableValueException extends Exception {
  private static final long serialVersionUID = 1L;

  /** What is wrong with the value. */
  public UnwritableValueException(String message) {
    super(message);
  }
}
