package io.heronshim.storm;

import io.heronshim.codec.OpaqueValues;
import io.heronshim.codec.UnwritableValueException;
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
 * here. One thread at a time.
 */
final class KryoValues implements OpaqueValues {
  private final Map<String, Object> conf;
  private KryoValuesSerializer serializer;
  private KryoValuesDeserializer deserializer;

  KryoValues(Map<String, Object> conf) {
    this.conf = new HashMap<>(conf);
    this.conf.put(Config.TOPOLOGY_FALL_BACK_ON_JAVA_SERIALIZATION, true);
  }

  @Override
  public byte[] write(Object value) throws UnwritableValueException {
    if (serializer == null) {
      serializer = new KryoValuesSerializer(conf);
    }
    try {
      return serializer.serializeObject(value);
    } catch (RuntimeException error) {
      throw new UnwritableValueException(
          "a value of class " + value.getClass().getName() + " cannot be serialized: "
              + error.getMessage() + "; register it with Kryo or make it Serializable");
    }
  }

  @Override
  public Object read(byte[] bytes) {
    if (deserializer == null) {
      deserializer = new KryoValuesDeserializer(conf);
    }
    return deserializer.deserializeObject(bytes);
  }
}
