package io.heronshim.instance;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LogTest {
  static Stream<Throwable> thrown() {
    return Stream.of(
        new IllegalStateException(), new StackOverflowError(), new NoClassDefFoundError("Missing"));
  }

  /** Of an author whose texts cannot be had. */
  private static final class Unspeakable extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private final transient Throwable thrown;

    Unspeakable(Throwable thrown) {
      this.thrown = thrown;
    }

    private <E extends Throwable> void fail() throws E {
      @SuppressWarnings("unchecked")
      E error = (E) thrown;
      throw error;
    }

    @Override
    public String toString() {
      this.<RuntimeException>fail();
      return "";
    }

    @Override
    public void printStackTrace(PrintWriter out) {
      this.<RuntimeException>fail();
    }
  }

  @ParameterizedTest
  @MethodSource("thrown")
  void textsThatCannotBeHadAreReplaced(Throwable thrown) {
    Unspeakable error = new Unspeakable(thrown);
    assertTrue(Log.text(error).contains("Unspeakable"));
    assertTrue(Log.trace(error).contains("Unspeakable"));
    TaskMeter meter = new TaskMeter(3, "split", 1, 1000);
    meter.error(error, "", 1, 1);
    assertTrue(meter.takeErrors(1, false).get(0).getDetail().contains("Unspeakable"));
  }

  @Test
  void soManyLinesGoInAnInterval() {
    LogLimit limit = new LogLimit(2, 1000);
    List<Boolean> allowed =
        Stream.of(-5L, 0L, 10L, 994L, 995L, 996L, 997L).map(limit::allows).toList();
    assertTrue(allowed.get(0) && allowed.get(1));
    assertFalse(allowed.get(2) || allowed.get(3));
    assertTrue(allowed.get(4) && allowed.get(5));
    assertFalse(allowed.get(6));
  }
}
