package io.heronshim.instance;

import io.heronshim.codec.DataBatches;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.stream.SequenceWatch;
import io.heronshim.wire.v1.Bye;
import io.heronshim.wire.v1.ByeAck;
import io.heronshim.wire.v1.ErrorCode;
import io.heronshim.wire.v1.Hello;
import io.heronshim.wire.v1.HelloAck;
import io.heronshim.wire.v1.LinkHeartbeat;
import io.heronshim.zmtp.ZmtpConnection;
import java.io.IOException;
import java.nio.channels.Selector;
import java.util.List;

/**
 * The link to the stream manager: one connection after another, each with hello, sequences,
 * heartbeats and bye (docs/instance-protocol.md, Link). Of the IO thread.
 */
final class DealerLink {
  private static final long HELLO_TIMEOUT_NS = 250_000_000L;

  /** The time for an answer doubles up to this with each attempt that nobody answers. */
  private static final long HELLO_TIMEOUT_NS_MAX = 4_000_000_000L;

  private static final long HEARTBEAT_NS = 200_000_000L;
  private static final long BYE_TIMEOUT_NS = 250_000_000L;
  private static final long BACKOFF_MIN_NS = 50_000_000L;
  private static final long BACKOFF_MAX_NS = 1_000_000_000L;
  private static final long BACKOFF_RESET_NS = 1_000_000_000L;
  private static final long NS_PER_MS = 1_000_000L;

  /** Who is as late as this for its own heartbeat was stopped itself: no silence of the peer. */
  private static final long OWN_PAUSE_NS = 1_000_000_000L;

  private static final String SCHEME = "ipc://";

  /** States of a link. */
  enum State {
    WAITING,
    GREETING,
    UP,
    CLOSING,
    OVER
  }

  /** Hears what happens to the link, in its order among the frames. */
  interface Listener {
    /** A new link is up: credit of the old one is void. */
    void joined();

    /** The peer refused it. */
    void refused(ErrorCode code, String message);

    /** It ended; `clean`: nothing that was sent on it is lost. */
    void ended(String cause, boolean clean);

    /** A frame of the owner's; throws RemoteProtocolError where it ends the link. */
    void frame(FrameHeader header, byte[] payload);
  }

  private final Hello hello;
  private final String path;
  private final long silenceLimitNs;
  private final Selector selector;
  private final Listener listener;
  private ZmtpConnection connection;
  private State state = State.WAITING;
  private SequenceWatch watch = new SequenceWatch(0);
  private int attempt;
  private long sequence;
  private long tuplesSequence;
  private long deadlineNs;
  private long upSinceNs;
  private long heardNs;
  private long backoffNs = BACKOFF_MIN_NS;
  private long helloTimeoutNs = HELLO_TIMEOUT_NS;

  /**
   * A link whose first connection is made by the first {@link #tick}.
   *
   * @param hello lacks its attempt
   * @param silenceLimitNs a peer that is silent for longer is taken for replaced: its link ends
   */
  DealerLink(
      Hello hello,
      String endpoint,
      long silenceLimitNs,
      Selector selector,
      Listener listener,
      long nowNs) {
    if (!endpoint.startsWith(SCHEME)) {
      throw new IllegalArgumentException("endpoint " + endpoint + " does not begin with " + SCHEME);
    }
    this.hello = hello;
    this.path = endpoint.substring(SCHEME.length());
    this.silenceLimitNs = silenceLimitNs;
    this.selector = selector;
    this.listener = listener;
    this.deadlineNs = nowNs;
  }

  State state() {
    return state;
  }

  boolean isUp() {
    return state == State.UP;
  }

  long nextDeadlineNs() {
    return deadlineNs;
  }

  /** Does what is due: connects, greets, sends heartbeats, gives up. */
  void tick(long nowNs) {
    if (nowNs < deadlineNs) {
      return;
    }
    switch (state) {
      case WAITING -> open(nowNs);
      case GREETING -> {
        // An answer that came while this thread was busy is still to be read.
        read(nowNs);
        if (state == State.GREETING) {
          fail("no answer within " + helloTimeoutNs / NS_PER_MS + " ms", nowNs, false);
          helloTimeoutNs = Math.min(HELLO_TIMEOUT_NS_MAX, 2 * helloTimeoutNs);
        }
      }
      case UP -> beat(nowNs);
      case CLOSING -> fail("bye was not acknowledged", nowNs, false);
      case OVER -> deadlineNs = Long.MAX_VALUE;
      default -> throw new AssertionError(state);
    }
  }

  /** Sends a heartbeat, unless the peer is given up for its silence. */
  private void beat(long nowNs) {
    if (nowNs - deadlineNs >= OWN_PAUSE_NS) {
      heardNs = nowNs;
    }
    if (nowNs - heardNs > silenceLimitNs) {
      fail("silent for " + (nowNs - heardNs) / NS_PER_MS + " ms", nowNs, false);
      return;
    }
    LinkHeartbeat heartbeat = LinkHeartbeat.newBuilder().setLastSequence(sequence).build();
    send(Kind.HEARTBEAT, 0, 0, heartbeat.toByteArray());
    deadlineNs = nowNs + HEARTBEAT_NS;
  }

  /** Queues a frame of a link that is up. */
  void send(int kind, int destination, int source, byte[] payload) {
    sequence++;
    connection.send(FrameHeader.of(kind, destination, source, sequence).toBytes(), payload);
    if (Kind.carriesTuples(kind)) {
      tuplesSequence = sequence;
    }
  }

  /** Writes what was queued, as far as the peer takes it. */
  void write(long nowNs) {
    if (connection == null) {
      return;
    }
    try {
      connection.write();
    } catch (IOException error) {
      // What the peer sent before it went is still to be read.
      read(nowNs);
      if (connection != null) {
        fail("connection cannot be written: " + error.getMessage(), nowNs, false);
      }
    }
  }

  /** Reads what came and hands it over. */
  void read(long nowNs) {
    if (connection == null) {
      return;
    }
    String cause = "connection closed by the peer";
    boolean ended = false;
    try {
      connection.read();
      ended = connection.ended();
    } catch (IOException error) {
      cause = "connection cannot be read: " + error.getMessage();
      ended = true;
    }
    ZmtpConnection own = connection;
    List<byte[]> parts = own.poll();
    while (parts != null && connection == own) {
      try {
        take(parts, nowNs);
      } catch (RemoteProtocolError error) {
        fail(error.getMessage(), nowNs, false);
        return;
      }
      parts = own.poll();
    }
    if (ended && connection == own) {
      fail(cause, nowNs, false);
    }
  }

  /** Says bye; {@link #state} is OVER when it was answered, or was not for too long. */
  void sayBye(String reason, long nowNs) {
    if (state != State.UP) {
      end("bye", false);
      state = State.OVER;
      return;
    }
    Bye bye =
        Bye.newBuilder()
            .setLastSequence(sequence)
            .setReason(reason)
            .setLastReceived(watch.last())
            .build();
    send(Kind.BYE, 0, 0, bye.toByteArray());
    state = State.CLOSING;
    deadlineNs = nowNs + BYE_TIMEOUT_NS;
    write(nowNs);
  }

  private void open(long nowNs) {
    attempt++;
    sequence = 0;
    tuplesSequence = 0;
    try {
      connection = new ZmtpConnection(path, selector, FrameHeader.PAYLOAD_BYTES_MAX);
    } catch (IOException | RuntimeException error) {
      fail(path + " cannot be connected: " + error.getMessage(), nowNs, false);
      return;
    }
    state = State.GREETING;
    deadlineNs = nowNs + helloTimeoutNs;
    Hello own = hello.toBuilder().setAttempt(attempt).build();
    connection.send(FrameHeader.of(Kind.HELLO, 0, 0, 0).toBytes(), own.toByteArray());
    write(nowNs);
  }

  private void take(List<byte[]> parts, long nowNs) {
    if (parts.size() != 2) {
      throw new RemoteProtocolError("a frame has " + parts.size() + " parts; expected 2");
    }
    FrameHeader header = FrameHeader.read(parts.get(0));
    heardNs = nowNs;
    byte[] payload = parts.get(1);
    if (header.kind() == Kind.ERROR) {
      // Whatever its number: one who does not know this link (any more) may send it.
      refused(payload, nowNs);
    } else if (state == State.GREETING) {
      greeted(header, payload, nowNs);
    } else {
      watch.take(header.sequence());
      switch (header.kind()) {
        case Kind.HEARTBEAT ->
            watch.check(
                DataBatches.parse(LinkHeartbeat.parser(), payload, "LinkHeartbeat")
                    .getLastSequence());
        case Kind.BYE -> onBye(payload, nowNs);
        case Kind.BYE_ACK -> onByeAck(payload, nowNs);
        default -> listener.frame(header, payload);
      }
    }
  }

  private void greeted(FrameHeader header, byte[] payload, long nowNs) {
    if (header.kind() != Kind.HELLO_ACK) {
      throw new RemoteProtocolError("hello was answered with a frame of kind " + header.kind());
    }
    DataBatches.parse(HelloAck.parser(), payload, "HelloAck");
    watch = new SequenceWatch(header.sequence());
    state = State.UP;
    helloTimeoutNs = HELLO_TIMEOUT_NS;
    upSinceNs = nowNs;
    deadlineNs = nowNs + HEARTBEAT_NS;
    listener.joined();
  }

  private void refused(byte[] payload, long nowNs) {
    io.heronshim.wire.v1.Error error =
        DataBatches.parse(io.heronshim.wire.v1.Error.parser(), payload, "Error");
    ErrorCode code = error.getCode();
    if (code == ErrorCode.UNRECOGNIZED) {
      code = ErrorCode.ERROR_CODE_INTERNAL;
    }
    listener.refused(code, error.getMessage());
    fail(code + ": " + error.getMessage(), nowNs, false);
    if (code == ErrorCode.ERROR_CODE_STALE_INCARNATION) {
      // A newer process has this one's place: no hello of it shall be taken any more.
      state = State.OVER;
      deadlineNs = Long.MAX_VALUE;
    }
  }

  private void onBye(byte[] payload, long nowNs) {
    Bye bye = DataBatches.parse(Bye.parser(), payload, "Bye");
    watch.check(bye.getLastSequence());
    send(
        Kind.BYE_ACK, 0, 0, ByeAck.newBuilder().setLastSequence(watch.last()).build().toByteArray());
    try {
      connection.write();
    } catch (IOException error) {
      // The peer is gone already; it has all that it says it has.
      Log.warning("bye_ack_failed", "error", error);
    }
    fail("the peer said bye", nowNs, bye.getLastReceived() >= tuplesSequence);
  }

  private void onByeAck(byte[] payload, long nowNs) {
    if (state == State.CLOSING) {
      long last = DataBatches.parse(ByeAck.parser(), payload, "ByeAck").getLastSequence();
      fail("bye", nowNs, last >= tuplesSequence);
    }
  }

  /** Ends this attempt and waits for the next; after a bye of this side there is none. */
  private void fail(String cause, long nowNs, boolean clean) {
    if (state == State.UP && nowNs - upSinceNs >= BACKOFF_RESET_NS) {
      backoffNs = BACKOFF_MIN_NS;
    }
    boolean closing = state == State.CLOSING;
    end(cause, clean);
    state = closing ? State.OVER : State.WAITING;
    deadlineNs = closing ? Long.MAX_VALUE : nowNs + backoffNs;
    backoffNs = Math.min(2 * backoffNs, BACKOFF_MAX_NS);
  }

  private void end(String cause, boolean clean) {
    boolean wasUp = state == State.UP || state == State.CLOSING;
    if (connection != null) {
      connection.close();
      connection = null;
    }
    if (wasUp) {
      state = State.WAITING;
      listener.ended(cause, clean);
    }
  }
}
