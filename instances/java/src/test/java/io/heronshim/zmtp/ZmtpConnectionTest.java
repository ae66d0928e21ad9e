package io.heronshim.zmtp;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ZmtpConnectionTest {
  private static final int PART_BYTES_MAX = 64 << 20;

  @TempDir Path folder;

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
