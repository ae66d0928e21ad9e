package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.heronshim.codec.DataBatches;
import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.UnwritableValueException;
import io.heronshim.stream.Frame;
import io.heronshim.wire.v1.DataBatch;
import io.heronshim.wire.v1.OutputStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;

class OutboxTest {
  private static final int SOURCE = 2;
  private static final int TARGET = 1;
  private final Outbox outbox = new Outbox(100, 1 << 15, new SplittableRandom(1));
  private final List<Object> opened = new ArrayList<>();
  private final OpenBatch batch = outbox.open("split", SOURCE, TARGET, false, null);
  private final Route words = route("default");
  private final Route others = route("others");

  OutboxTest() {
    outbox.setTrees(
        SOURCE,
        (id, edge, nowUs) -> {
          opened.add(id);
          return 0x2000000000000L + opened.size();
        });
  }

  private static Route route(String stream) {
    OutputStream output = OutputStream.newBuilder().setId(stream).addFields("word").build();
    return new Route(output, Set.of(), List.of());
  }

  private void append(Route route, String word, Object id) throws Exception {
    batch.append(route, List.of(word), id, Pairs.NONE);
  }

  private List<String> sent() {
    List<String> texts = new ArrayList<>();
    for (Frame frame : outbox.takeFrames()) {
      DataBatch read = DataBatches.parse(DataBatch.parser(), frame.payload(), "DataBatch");
      texts.add(
          read.getStream() + " " + DataBatches.rows(read, null) + " "
              + read.getRoots().size() / 8 + read.getRootCountsList());
    }
    return texts;
  }

  @Test
  void rowsWaitForCreditAndTheirTreesOpenWhenTheyLeave() throws Exception {
    append(words, "a", "id-a");
    append(words, "b", null);
    outbox.flush(1, false);
    assertEquals(List.of(), sent());
    assertEquals(Map.of(TARGET, 1024L), outbox.takeWanted());
    assertEquals(List.of(), opened);
    append(words, "c", "id-c");
    outbox.onCredit(TARGET, 1 << 16, 2);
    outbox.flush(2, false);
    // The first frame to a task of which nothing is known holds one row.
    assertEquals(
        List.of("default [[a]] 1[]", "default [[b]] 0[]", "default [[c]] 1[]"), sent());
    assertEquals(List.of("id-a", "id-c"), opened);
    assertEquals(0, outbox.waitingBytes());
    assertEquals(0, batch.rowCount());
  }

  @Test
  void orderHoldsBetweenTheStreamsOfOneEdge() throws Exception {
    outbox.onCredit(TARGET, 1 << 20, 1);
    for (int round = 0; round < 64; round++) {
      append(words, "warm", null);
      outbox.flush(1, false);
    }
    sent();
    append(words, "a", null);
    append(words, "b", "x");
    append(others, "c", null);
    append(words, "d", null);
    outbox.flush(1, false);
    assertEquals(
        List.of("default [[a], [b]] 1[0, 1]", "others [[c]] 0[]", "default [[d]] 0[]"), sent());
  }

  @Test
  void framesThatWereOnTheirWayGoFirstOnANewLink() throws Exception {
    outbox.onCredit(TARGET, 4096, 1);
    append(words, "a", "id");
    outbox.flush(1, false);
    append(words, "b", null);
    outbox.onNewLink();
    assertEquals(List.of(), sent());
    assertEquals(Map.of(TARGET, 1024L), outbox.takeWanted());
    outbox.onCredit(TARGET, 4096, 2);
    outbox.flush(2, false);
    assertEquals(List.of("default [[a]] 1[]", "default [[b]] 0[]"), sent());
    assertEquals(List.of("id"), opened);
  }

  @Test
  void taskIsHeldWhileMoreThanAFrameOfItsRowsWaits() throws Exception {
    append(words, "a", null);
    outbox.flush(1, false);
    assertFalse(outbox.holds(SOURCE, 1));
    append(words, "b", null);
    assertTrue(outbox.holds(SOURCE, 1));
    assertFalse(outbox.holds(SOURCE + 1, 1));
    outbox.onCredit(TARGET, 1 << 16, 1);
    outbox.flush(1, false);
    assertFalse(outbox.holds(SOURCE, 1));
  }

  @Test
  void rowsLeaveWhileAnotherIsBeingEncoded() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    OpaqueValues slow =
        new OpaqueValues() {
          @Override
          public byte[] write(Object value) throws UnwritableValueException {
            begun.countDown();
            try {
              goOn.await();
            } catch (InterruptedException error) {
              throw new UnwritableValueException("interrupted");
            }
            return new byte[] {7};
          }

          @Override
          public Object read(byte[] bytes) {
            return "slow";
          }
        };
    OpenBatch toJava = outbox.open("split", SOURCE, TARGET + 1, false, slow);
    toJava.append(words, List.of("a"), null, Pairs.NONE);
    FutureTask<Void> emit =
        new FutureTask<>(
            () -> {
              toJava.append(words, List.of(Optional.empty()), null, Pairs.NONE);
              return null;
            });
    Thread author = new Thread(emit);
    author.start();
    begun.await();
    // What the IO thread does under its lock.
    assertTimeoutPreemptively(
        Duration.ofSeconds(60),
        () -> {
          outbox.onCredit(TARGET + 1, 1 << 16, 1);
          outbox.flush(1, false);
        });
    assertEquals(List.of("default [[a]] 0[]"), sent());
    goOn.countDown();
    emit.get();
    assertEquals(1, toJava.rowCount());
  }

  @Test
  void creditIsNeverOverdrawn() throws Exception {
    long granted = 0;
    long spent = 0;
    for (int round = 0; round < 300; round++) {
      for (int row = 0; row < 7; row++) {
        append(words, "w".repeat(1 + (round * 31 + row * 7) % 900), "id");
      }
      outbox.flush(round, false);
      for (long need : outbox.takeWanted().values()) {
        granted += need;
        outbox.onCredit(TARGET, need, round);
      }
      for (Frame frame : outbox.takeFrames()) {
        spent += Math.max(1024, frame.payload().length);
      }
      assertTrue(spent <= granted, spent + " of " + granted);
    }
    assertTrue(opened.size() > 100);
  }
}
