package odd;

import java.util.HashMap;
import org.apache.storm.StormSubmitter;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.testing.TestWordCounter;
import org.apache.storm.testing.TestWordSpout;
import org.apache.storm.topology.TopologyBuilder;

/** A main that does not just submit one topology and return. The argument says what it does. */
public final class Odd {
  private Odd() {}

  private static StormTopology topology() {
    TopologyBuilder builder = new TopologyBuilder();
    builder.setSpout("words", new TestWordSpout());
    builder.setBolt("count", new TestWordCounter()).shuffleGrouping("words");
    return builder.createTopology();
  }

  private static void submit(String name) throws Exception {
    StormSubmitter.submitTopology(name, new HashMap<>(), topology());
  }

  public static void main(String[] arguments) throws Exception {
    switch (arguments.length == 0 ? "nothing" : arguments[0]) {
      case "exit" -> System.exit(7);
      case "loop" -> {
        new ProcessBuilder("sleep", "1000").start();
        while (true) {
          System.out.println("still here");
        }
      }
      case "throw" -> throw new IllegalStateException("no such broker");
      case "two" -> {
        submit("first");
        submit("second");
        Thread.sleep(Long.MAX_VALUE);
      }
      default -> System.out.println("usage: Odd WHAT");
    }
  }
}
