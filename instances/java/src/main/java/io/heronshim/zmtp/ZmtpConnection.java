package io.heronshim.zmtp;

import java.io.Closeable;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;

/**
 * A DEALER's one connection over a Unix-domain socket: ZMTP 3.1, mechanism NULL. Never blocks.
 *
 * <p>libzmq has no Java form and JeroMQ (0.6.0) no Unix-domain sockets; what a DEALER with one peer
 * needs of the protocol is this much. One thread at a time.
 */
public final class ZmtpConnection implements Closeable, ZmtpDecoder.Listener {
  private static final int MORE = 1;
  private static final int LONG = 2;
  private static final int COMMAND = 4;
  private static final int SHORT_BYTES_MAX = 255;
  private static final int READ_BYTES = 256 << 10;
  private static final int READS_PER_TURN = 8;

  /** A write copies what it is given, even where the peer takes little of it. */
  private static final int GATHER = 64;

  private static final int GATHER_BYTES = 256 << 10;
  private static final int SLICE_BYTES = 64 << 10;

  private final SocketChannel channel;
  private final SelectionKey key;
  private final ZmtpDecoder decoder;
  private final ByteBuffer in = ByteBuffer.allocateDirect(READ_BYTES);
  private final Deque<ByteBuffer> out = new ArrayDeque<>();
  private final Deque<ByteBuffer> untilReady = new ArrayDeque<>();
  private final Deque<List<byte[]>> messages = new ArrayDeque<>();
  private boolean ready;
  private boolean ended;

  /**
   * Connects to a path.
   *
   * @throws IOException nobody listens there, or who does has no room for more now
   */
  public ZmtpConnection(String path, Selector selector, long partBytesMax) throws IOException {
    channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      channel.configureBlocking(false);
      if (!channel.connect(UnixDomainSocketAddress.of(path))) {
        throw new IOException("too many wait there to be accepted");
      }
      key = channel.register(selector, SelectionKey.OP_READ, this);
    } catch (IOException | RuntimeException error) {
      channel.close();
      throw error;
    }
    decoder = new ZmtpDecoder(this, partBytesMax);
    out.add(greeting());
  }

  private static ByteBuffer greeting() {
    byte[] greeting = new byte[ZmtpDecoder.GREETING_BYTES];
    greeting[0] = (byte) 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    System.arraycopy("NULL".getBytes(StandardCharsets.US_ASCII), 0, greeting, 12, 4);
    return ByteBuffer.wrap(greeting);
  }

  /** Queues a message of two parts; it goes with the next {@link #write}. */
  public void send(byte[] header, byte[] payload) {
    Deque<ByteBuffer> queue = ready ? out : untilReady;
    addFrame(queue, MORE, header);
    addFrame(queue, 0, payload);
  }

  /** Writes what the peer takes now; throws IOException when the connection ended. */
  public void write() throws IOException {
    ByteBuffer[] some = new ByteBuffer[GATHER];
    while (!out.isEmpty()) {
      int count = 0;
      int bytes = 0;
      for (ByteBuffer buffer : out) {
        some[count++] = buffer;
        bytes += buffer.remaining();
        if (count == GATHER || bytes >= GATHER_BYTES) {
          break;
        }
      }
      if (channel.write(some, 0, count) == 0) {
        break;
      }
      while (!out.isEmpty() && !out.peekFirst().hasRemaining()) {
        out.removeFirst();
      }
    }
    int wanted = out.isEmpty() ? SelectionKey.OP_READ : SelectionKey.OP_READ | SelectionKey.OP_WRITE;
    if (key.interestOps() != wanted) {
      key.interestOps(wanted);
    }
  }

  /** Reads what came; throws ZmtpException when the peer broke the protocol. */
  public void read() throws IOException {
    for (int turn = 0; turn < READS_PER_TURN && !ended; turn++) {
      in.clear();
      int count = channel.read(in);
      if (count < 0) {
        ended = true;
        // An ended channel stays readable: nobody shall be woken for it.
        key.interestOps(0);
      }
      if (count <= 0) {
        return;
      }
      decoder.feed(in.flip());
    }
  }

  /** The next message, or null. */
  public List<byte[]> poll() {
    return messages.poll();
  }

  /** Whether the peer closed the connection; messages that came before may still be polled. */
  public boolean ended() {
    return ended;
  }

  /** Whether all that was sent is with the operating system. */
  public boolean allWritten() {
    return out.isEmpty() && untilReady.isEmpty();
  }

  @Override
  public void close() {
    try {
      key.cancel();
      channel.close();
    } catch (IOException error) {
      // Closed all the same.
      ended = true;
    }
  }

  @Override
  public void greeted() {
    byte[] body = concat(name("READY"), property("Socket-Type", "DEALER"), property("Identity", ""));
    addFrame(out, COMMAND, body);
  }

  @Override
  public void command(String name, byte[] body) throws ZmtpException {
    switch (name) {
      case "READY":
        ready = true;
        out.addAll(untilReady);
        untilReady.clear();
        break;
      case "PING":
        if (body.length < 2) {
          throw new ZmtpException("a PING has no time to live");
        }
        addFrame(out, COMMAND, concat(name("PONG"), Arrays.copyOfRange(body, 2, body.length)));
        break;
      case "ERROR":
        int length = body.length == 0 ? 0 : Math.min(body[0] & 0xff, body.length - 1);
        throw new ZmtpException(
            "the peer refused the connection: "
                + new String(body, Math.min(1, body.length), length, StandardCharsets.US_ASCII));
      default:
        // Of later versions, or answers to what this client never asks.
        break;
    }
  }

  @Override
  public void message(List<byte[]> parts) throws ZmtpException {
    if (!ready) {
      throw new ZmtpException("a message came before READY");
    }
    messages.add(parts);
  }

  private static void addFrame(Deque<ByteBuffer> queue, int flags, byte[] body) {
    if (body.length <= SHORT_BYTES_MAX) {
      ByteBuffer whole = ByteBuffer.allocate(2 + body.length);
      queue.add(whole.put((byte) flags).put((byte) body.length).put(body).flip());
      return;
    }
    queue.add(ByteBuffer.allocate(9).put((byte) (flags | LONG)).putLong(body.length).flip());
    for (int from = 0; from < body.length; from += SLICE_BYTES) {
      queue.add(ByteBuffer.wrap(body, from, Math.min(SLICE_BYTES, body.length - from)));
    }
  }

  private static byte[] name(String text) {
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    return concat(new byte[] {(byte) ascii.length}, ascii);
  }

  private static byte[] property(String name, String value) {
    byte[] ascii = value.getBytes(StandardCharsets.US_ASCII);
    return concat(name(name), ByteBuffer.allocate(4).putInt(ascii.length).array(), ascii);
  }

  private static byte[] concat(byte[]... parts) {
    ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(part -> part.length).sum());
    for (byte[] part : parts) {
      all.put(part);
    }
    return all.array();
  }
}
