package io.heronshim.zmtp;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a ZMTP 3 peer sends, read from bytes in pieces of any size. Opens nothing.
 *
 * <p>Source: ZeroMQ's specifications 23/ZMTP 3.0 and 37/ZMTP 3.1.
 */
public final class ZmtpDecoder {
  /** Hears what was read. */
  public interface Listener {
    /** The peer's greeting was good. */
    void greeted();

    /** A command: READY, PING and others. */
    void command(String name, byte[] body) throws ZmtpException;

    /** A whole message. */
    void message(List<byte[]> parts) throws ZmtpException;
  }

  static final int GREETING_BYTES = 64;
  private static final int MORE = 1;
  private static final int LONG = 2;
  private static final int COMMAND = 4;
  private static final int COMMAND_BYTES_MAX = 64 << 10;
  private static final int PARTS_MAX = 8;
  private static final int FIRST_PIECE_BYTES = 64 << 10;

  private final Listener listener;
  private final long partBytesMax;
  private boolean greeted;
  private byte[] head = new byte[GREETING_BYTES];
  private int headSize;
  private int flags;
  private byte[] body;
  private int bodySize;
  private int bodyLength;
  private List<byte[]> parts = new ArrayList<>();

  /** A decoder of one connection; a part of over `partBytesMax` bytes is refused. */
  public ZmtpDecoder(Listener listener, long partBytesMax) {
    this.listener = listener;
    this.partBytesMax = partBytesMax;
  }

  /** Takes all bytes of a buffer. */
  public void feed(ByteBuffer in) throws ZmtpException {
    while (in.hasRemaining()) {
      if (!greeted) {
        readGreeting(in);
      } else if (body == null) {
        readHead(in);
      } else {
        readBody(in);
      }
    }
  }

  private void readGreeting(ByteBuffer in) throws ZmtpException {
    take(in, GREETING_BYTES);
    if (headSize >= 1 && (head[0] & 0xff) != 0xff || headSize >= 10 && (head[9] & 1) == 0) {
      throw new ZmtpException("the peer does not speak ZMTP");
    }
    if (headSize >= 11 && head[10] < 3) {
      throw new ZmtpException("the peer speaks ZMTP " + head[10] + "; expected 3");
    }
    if (headSize < GREETING_BYTES) {
      return;
    }
    String mechanism = new String(head, 12, 20, StandardCharsets.US_ASCII).trim();
    if (!mechanism.equals("NULL")) {
      throw new ZmtpException("the peer's mechanism is " + mechanism + "; expected NULL");
    }
    greeted = true;
    headSize = 0;
    listener.greeted();
  }

  private void readHead(ByteBuffer in) throws ZmtpException {
    take(in, 1);
    flags = head[0] & 0xff;
    if ((flags & ~(MORE | LONG | COMMAND)) != 0 || (flags & (MORE | COMMAND)) == (MORE | COMMAND)) {
      throw new ZmtpException("a frame has flags " + flags);
    }
    int needed = (flags & LONG) == 0 ? 2 : 9;
    take(in, needed);
    if (headSize < needed) {
      return;
    }
    long length =
        (flags & LONG) == 0 ? head[1] & 0xff : ByteBuffer.wrap(head, 1, Long.BYTES).getLong();
    long limit = (flags & COMMAND) == 0 ? partBytesMax : COMMAND_BYTES_MAX;
    if (length < 0 || length > limit) {
      throw new ZmtpException(
          "a frame of " + Long.toUnsignedString(length) + " bytes is over " + limit);
    }
    headSize = 0;
    bodyLength = (int) length;
    bodySize = 0;
    // What is claimed is not what comes: a large buffer grows with its content.
    body = new byte[Math.min(bodyLength, FIRST_PIECE_BYTES)];
    if (bodyLength == 0) {
      finish();
    }
  }

  private void readBody(ByteBuffer in) throws ZmtpException {
    int count = Math.min(in.remaining(), bodyLength - bodySize);
    if (bodySize + count > body.length) {
      int room = (int) Math.min(bodyLength, Math.max(2L * body.length, bodySize + count));
      body = Arrays.copyOf(body, room);
    }
    in.get(body, bodySize, count);
    bodySize += count;
    if (bodySize == bodyLength) {
      finish();
    }
  }

  private void finish() throws ZmtpException {
    byte[] whole = body;
    body = null;
    if ((flags & COMMAND) != 0) {
      finishCommand(whole);
      return;
    }
    if (parts.size() == PARTS_MAX) {
      throw new ZmtpException("a message has over " + PARTS_MAX + " parts");
    }
    parts.add(whole);
    if ((flags & MORE) == 0) {
      List<byte[]> message = parts;
      parts = new ArrayList<>();
      listener.message(message);
    }
  }

  private void finishCommand(byte[] whole) throws ZmtpException {
    int nameLength = whole.length == 0 ? 0 : whole[0] & 0xff;
    if (nameLength == 0 || nameLength >= whole.length) {
      throw new ZmtpException("a command has no name");
    }
    String name = new String(whole, 1, nameLength, StandardCharsets.US_ASCII);
    listener.command(name, Arrays.copyOfRange(whole, 1 + nameLength, whole.length));
  }

  /** Moves bytes into the head until it has `needed`. */
  private void take(ByteBuffer in, int needed) {
    int count = Math.min(in.remaining(), needed - headSize);
    if (count > 0) {
      in.get(head, headSize, count);
      headSize += count;
    }
  }
}
