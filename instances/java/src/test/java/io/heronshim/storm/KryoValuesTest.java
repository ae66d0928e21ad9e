package io.heronshim.storm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.heronshim.codec.UnwritableValueException;
import io.heronshim.stream.RemoteProtocolError;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;
import java.time.Duration;
import java.time.LocalDate;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.apache.storm.Config;
import org.apache.storm.utils.Utils;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KryoValuesTest {
  private static final LocalDate DAY = LocalDate.of(2026, 1, 1);
  private static final CountDownLatch BEGUN = new CountDownLatch(1);
  private static final CountDownLatch GO_ON = new CountDownLatch(1);
  private final Map<String, Object> conf = Utils.readDefaultConfig();

  /** Fails as it is told when it is written or read. */
  private static final class Stubborn implements Serializable {
    private static final long serialVersionUID = 1L;
    private final String when;

    Stubborn(String when) {
      this.when = when;
    }

    private void writeObject(ObjectOutputStream out) throws IOException {
      out.defaultWriteObject();
      if (when.equals("overflow")) {
        throw new StackOverflowError();
      }
      if (when.equals("write")) {
        throw new InvalidObjectException("not now");
      }
      if (when.equals("slow")) {
        BEGUN.countDown();
        try {
          GO_ON.await();
        } catch (InterruptedException error) {
          throw new IOException(error);
        }
      }
    }

    private void readObject(ObjectInputStream in) throws IOException, ClassNotFoundException {
      in.defaultReadObject();
      if (when.equals("read")) {
        throw new InvalidObjectException("not here");
      }
      if (when.equals("linkage")) {
        throw new NoClassDefFoundError("Missing");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"write", "overflow"})
  void valueThatCannotBeWrittenIsRefusedAndTheNextIsNot(String when) throws Exception {
    KryoValues values = new KryoValues(conf);
    UnwritableValueException error =
        assertThrows(UnwritableValueException.class, () -> values.write(new Stubborn(when)));
    assertTrue(error.getMessage().contains("Stubborn"), error.getMessage());
    assertEquals(DAY, values.read(values.write(DAY)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"read", "linkage"})
  void valueThatCannotBeReadIsDamageAndTheNextIsRead(String when) throws Exception {
    KryoValues values = new KryoValues(conf);
    byte[] bytes = values.write(new Stubborn(when));
    assertThrows(RemoteProtocolError.class, () -> values.read(bytes));
    assertThrows(RemoteProtocolError.class, () -> values.read(new byte[] {1, 2, 3}));
    assertEquals(DAY, values.read(values.write(DAY)));
  }

  @Test
  void wrongRegistrationFailsTheValue() {
    conf.put(Config.TOPOLOGY_KRYO_FACTORY, "no.such.Factory");
    assertThrows(UnwritableValueException.class, () -> new KryoValues(conf).write(DAY));
  }

  @Test
  void threadsDoNotWaitForEachOthersValues() throws Exception {
    KryoValues values = new KryoValues(conf);
    FutureTask<byte[]> slow = new FutureTask<>(() -> values.write(new Stubborn("slow")));
    new Thread(slow).start();
    BEGUN.await();
    assertTimeoutPreemptively(
        Duration.ofSeconds(60), () -> assertEquals(DAY, values.read(values.write(DAY))));
    GO_ON.countDown();
    assertTrue(slow.get().length > 0);
  }
}
