package io.heronshim.zmtp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ZmtpConnectionTest {
  private static final int PART_BYTES_MAX = 64 << 20;

  @TempDir Path folder;

  /** Of the buffers that the virtual machine copies to before it writes. */
  private static long directBytes() {
    return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
        .filter(pool -> pool.getName().equals("direct"))
        .mapToLong(BufferPoolMXBean::getMemoryUsed)
        .sum();
  }

  private static void writeReady(SocketChannel peer) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(ZmtpDecoder.GREETING_BYTES + 8);
    bytes.put(0, (byte) 0xff).put(9, (byte) 0x7f).put(10, (byte) 3);
    bytes.put(12, "NULL".getBytes(StandardCharsets.US_ASCII));
    bytes.position(ZmtpDecoder.GREETING_BYTES);
    bytes.put((byte) 4).put((byte) 6).put((byte) 5);
    bytes.put("READY".getBytes(StandardCharsets.US_ASCII)).flip();
    while (bytes.hasRemaining()) {
      peer.write(bytes);
    }
  }

  /** Reads what one message of two parts needs; returns the last byte. */
  private static byte drain(SocketChannel peer, long bytes) throws IOException {
    ByteBuffer in = ByteBuffer.allocate(1 << 16);
    byte last = 0;
    for (long left = bytes; left > 0; ) {
      in.clear();
      int count = peer.read(in);
      assertTrue(count > 0);
      last = in.get(count - 1);
      left -= count;
    }
    return last;
  }

  @Test
  void largeMessageIsCopiedInPieces() throws Exception {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("s"));
    byte[] payload = new byte[16 << 20];
    payload[payload.length - 1] = 7;
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Selector selector = Selector.open()) {
      server.bind(address);
      ZmtpConnection connection =
          new ZmtpConnection(address.getPath().toString(), selector, PART_BYTES_MAX);
      try (SocketChannel peer = server.accept()) {
        writeReady(peer);
        connection.send(new byte[24], payload);
        long before = directBytes();
        // The greeting, READY with its two properties, and the message.
        long bytes = ZmtpDecoder.GREETING_BYTES + 2 + 41 + 26 + 9 + payload.length;
        FutureTask<Byte> read = new FutureTask<>(() -> drain(peer, bytes));
        new Thread(read).start();
        while (!connection.allWritten()) {
          connection.write();
          connection.read();
          selector.select(100);
          selector.selectedKeys().clear();
        }
        assertEquals((byte) 7, read.get());
        assertTrue(directBytes() - before < payload.length / 4, "copied to " + directBytes());
      } finally {
        connection.close();
      }
    }
  }

  @Test
  void nobodyWaitsForAPeerThatDoesNotAccept() throws IOException {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("s"));
    List<ZmtpConnection> made = new ArrayList<>();
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Selector selector = Selector.open()) {
      server.bind(address, 1);
      assertTimeoutPreemptively(
          Duration.ofSeconds(60),
          () ->
              assertThrows(
                  IOException.class,
                  () -> {
                    while (made.size() < 64) {
                      made.add(
                          new ZmtpConnection(
                              address.getPath().toString(), selector, PART_BYTES_MAX));
                    }
                  }));
    } finally {
      made.forEach(ZmtpConnection::close);
    }
  }
}
