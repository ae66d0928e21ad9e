package io.heronshim.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;

class FailFastTest {
  @Test
  void noticesThatShareAMarkKeepTheirCauses() {
    FailFast failFast = new FailFast(true, 0);
    failFast.onNotice("a died", 0, -1);
    failFast.onNotice("b died", 10, -1);
    failFast.onNotice("a died", 20, -1);
    FailFast.Mark mark = failFast.takeDue(1_000_020);
    assertEquals("a died; b died", mark.cause());
    assertEquals(20, mark.untilUs());
    assertNull(failFast.takeDue(1_000_020));
  }

  @Test
  void causesAreCut() {
    assertEquals(500, FailFast.joinedCause("a".repeat(400), "b".repeat(400)).length());
    assertEquals("b", FailFast.joinedCause("", "b"));
  }
}
