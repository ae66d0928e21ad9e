package words;

/** Splits lines, and takes a second to clean up. */
public class SlowCleanup extends SplitRows {
  @Override
  public void cleanup() {
    try {
      Thread.sleep(1000);
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    }
  }
}
