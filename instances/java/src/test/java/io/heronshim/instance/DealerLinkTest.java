package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.heronshim.stream.FrameHeader;
import io.heronshim.wire.v1.ErrorCode;
import io.heronshim.wire.v1.Hello;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DealerLinkTest {
  private static final long MS = 1_000_000;

  @TempDir Path folder;

  private static final class NoListener implements DealerLink.Listener {
    @Override
    public void joined() {}

    @Override
    public void refused(ErrorCode code, String message) {}

    @Override
    public void ended(String cause, boolean clean) {}

    @Override
    public void frame(FrameHeader header, byte[] payload) {}
  }

  @Test
  void timeForAnAnswerDoublesWithEachAttemptThatNobodyAnswers() throws IOException {
    Path path = folder.resolve("s");
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Selector selector = Selector.open()) {
      server.bind(UnixDomainSocketAddress.of(path));
      DealerLink link =
          new DealerLink(
              Hello.getDefaultInstance(), "ipc://" + path, Long.MAX_VALUE, selector,
              new NoListener(), 0);
      List<Long> waits = new ArrayList<>();
      long nowNs = 0;
      for (int attempt = 0; attempt < 6; attempt++) {
        link.tick(nowNs);
        assertEquals(DealerLink.State.GREETING, link.state());
        waits.add((link.nextDeadlineNs() - nowNs) / MS);
        nowNs = link.nextDeadlineNs();
        link.tick(nowNs);
        assertEquals(DealerLink.State.WAITING, link.state());
        nowNs = link.nextDeadlineNs();
      }
      assertEquals(List.of(250L, 500L, 1000L, 2000L, 4000L, 4000L), waits);
    }
  }
}
