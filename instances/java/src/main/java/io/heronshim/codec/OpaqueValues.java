package io.heronshim.codec;

/**
 * Serializes, between Java tasks only, values that MessagePack has no form for (Kryo). Thread-safe.
 */
public interface OpaqueValues {
  /** The bytes of a value; throws UnwritableValueException when it cannot be serialized. */
  byte[] write(Object value) throws UnwritableValueException;

  /** The value of such bytes; throws RemoteProtocolError when they cannot be read. */
  Object read(byte[] bytes);
}
