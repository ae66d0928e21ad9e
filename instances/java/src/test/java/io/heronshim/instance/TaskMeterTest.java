package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.heronshim.wire.v1.ErrorReport;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;

class TaskMeterTest {
  private static final long INTERVAL_NS = 1000;
  private final TaskMeter meter = new TaskMeter(3, "split", 2, INTERVAL_NS);

  /** Of an author whose texts wait for something. */
  private static final class SlowException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final transient CountDownLatch begun = new CountDownLatch(1);
    private final transient CountDownLatch goOn = new CountDownLatch(1);

    @Override
    public String toString() {
      begun.countDown();
      try {
        goOn.await();
      } catch (InterruptedException error) {
        return "interrupted";
      }
      return "slow";
    }
  }

  @Test
  void reportIsTakenWhileAnErrorSaysItsText() throws Exception {
    SlowException slow = new SlowException();
    FutureTask<Void> told = new FutureTask<>(() -> meter.error(slow, "", 1, 1), null);
    new Thread(told).start();
    slow.begun.await();
    assertTimeoutPreemptively(Duration.ofSeconds(60), () -> meter.take());
    slow.goOn.countDown();
    told.get();
    List<ErrorReport> errors = meter.takeErrors(1, false);
    assertEquals(1, errors.size());
    assertEquals("slow", errors.get(0).getMessage());
  }

  @Test
  void errorsOverTheLimitAreCounted() {
    RuntimeException error = new IllegalStateException("no");
    for (int index = 0; index < 5; index++) {
      meter.error(error, "", 1, 1);
    }
    assertEquals(2, meter.takeErrors(1, false).size());
    List<ErrorReport> later = meter.takeErrors(1 + INTERVAL_NS, false);
    assertEquals(1, later.size());
    assertEquals(3, later.get(0).getCount());
    assertEquals("", later.get(0).getDetail());
  }
}
