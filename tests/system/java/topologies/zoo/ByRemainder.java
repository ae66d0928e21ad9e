package zoo;

import java.util.List;
import org.apache.storm.generated.GlobalStreamId;
import org.apache.storm.grouping.CustomStreamGrouping;
import org.apache.storm.task.WorkerTopologyContext;

/** A number goes to the task at its remainder; numbers that 10 divides go nowhere. */
public class ByRemainder implements CustomStreamGrouping {
  private List<Integer> tasks;

  @Override
  public void prepare(
      WorkerTopologyContext context, GlobalStreamId stream, List<Integer> targetTasks) {
    tasks = targetTasks;
  }

  @Override
  public List<Integer> chooseTasks(int taskId, List<Object> values) {
    int number = (Integer) values.get(0);
    return number % 10 == 0 ? List.of() : List.of(tasks.get(number % tasks.size()));
  }
}
