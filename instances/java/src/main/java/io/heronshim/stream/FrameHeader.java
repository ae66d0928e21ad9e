package io.heronshim.stream;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The fixed header before each payload: little-endian, 24 bytes.
 *
 * @param version 1
 * @param kind see {@link Kind}
 * @param flags 0
 * @param planEpoch 0 if not said
 * @param destination task; 0 where a frame has none
 * @param source task; 0 where a frame has none
 * @param sequence from 1 in each direction of a link; 0 in a hello
 */
public record FrameHeader(
    int version, int kind, int flags, int planEpoch, int destination, int source, long sequence) {
  /** Of the contract. */
  public static final int PROTOCOL_VERSION = 1;

  /** Size of the header. */
  public static final int BYTES = 24;

  /** Most bytes of a payload. */
  public static final int PAYLOAD_BYTES_MAX = 64 << 20;

  /** A frame costs at least this much credit, so that small frames cannot fill a queue. */
  public static final int COST_MIN_BYTES = 1024;

  /** A header of this version without flags and plan epoch. */
  public static FrameHeader of(int kind, int destination, int source, long sequence) {
    return new FrameHeader(PROTOCOL_VERSION, kind, 0, 0, destination, source, sequence);
  }

  /** Reads a header; throws RemoteProtocolError when it is not one of this version. */
  public static FrameHeader read(byte[] bytes) {
    if (bytes.length != BYTES) {
      throw new RemoteProtocolError(
          "header has " + bytes.length + " bytes; expected " + BYTES);
    }
    ByteBuffer in = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int version = Byte.toUnsignedInt(in.get());
    if (version != PROTOCOL_VERSION) {
      throw new RemoteProtocolError(
          "frame has protocol version " + version + "; expected " + PROTOCOL_VERSION);
    }
    return new FrameHeader(
        version,
        Byte.toUnsignedInt(in.get()),
        Short.toUnsignedInt(in.getShort()),
        in.getInt(),
        in.getInt(),
        in.getInt(),
        in.getLong());
  }

  /** The 24 bytes. */
  public byte[] toBytes() {
    return ByteBuffer.allocate(BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) version)
        .put((byte) kind)
        .putShort((short) flags)
        .putInt(planEpoch)
        .putInt(destination)
        .putInt(source)
        .putLong(sequence)
        .array();
  }

  /** Credit that a data frame spends. */
  public static long costBytes(long payloadBytes) {
    return Math.max(payloadBytes, COST_MIN_BYTES);
  }
}
