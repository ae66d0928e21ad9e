package io.heronshim.storm;

import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.UnwritableValueException;
import io.heronshim.instance.Log;
import io.heronshim.stream.RemoteProtocolError;
import java.util.HashMap;
import java.util.Map;
import org.apache.storm.Config;
import org.apache.storm.serialization.KryoValuesDeserializer;
import org.apache.storm.serialization.KryoValuesSerializer;

/**
 * Values of any class between Java tasks, as the topology registered them with Kryo.
 *
 * <p>Where no class is registered Java serialization stands in, whatever the configuration says:
 * tasks that shared a worker in Storm passed such values by reference, and may not share a process
 * here. Each thread has a Kryo of its own: an author's serializer never waits for another's.
 */
final class KryoValues implements OpaqueValues {
  private final ThreadLocal<KryoValuesSerializer> serializer;
  private final ThreadLocal<KryoValuesDeserializer> deserializer;

  KryoValues(Map<String, Object> conf) {
    Map<String, Object> own = new HashMap<>(conf);
    own.put(Config.TOPOLOGY_FALL_BACK_ON_JAVA_SERIALIZATION, true);
    serializer = ThreadLocal.withInitial(() -> new KryoValuesSerializer(own));
    deserializer = ThreadLocal.withInitial(() -> new KryoValuesDeserializer(own));
  }

  @Override
  public byte[] write(Object value) throws UnwritableValueException {
    try {
      return serializer.get().serializeObject(value);
    } catch (RuntimeException | LinkageError | StackOverflowError error) {
      // It may have stopped anywhere: the next value gets a fresh one.
      serializer.remove();
      throw new UnwritableValueException(
          "a value of class " + value.getClass().getName() + " cannot be serialized: "
              + Log.text(error) + "; register it with Kryo or make it Serializable");
    }
  }

  @Override
  public Object read(byte[] bytes) {
    try {
      return deserializer.get().deserializeObject(bytes);
    } catch (RuntimeException | LinkageError | StackOverflowError error) {
      deserializer.remove();
      throw new RemoteProtocolError("a value of Java's cannot be read: " + Log.text(error));
    }
  }
}
