package io.heronshim.codec;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Parser;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.DataBatch;
import io.heronshim.wire.v1.Outcomes;
import java.util.List;

/** Messages from bytes, refused where their columns do not fit each other. */
public final class DataBatches {
  private DataBatches() {}

  /** Parses a message; throws RemoteProtocolError when it is none. */
  public static <T> T parse(Parser<T> parser, byte[] payload, String name) {
    try {
      return parser.parseFrom(payload);
    } catch (InvalidProtocolBufferException error) {
      throw new RemoteProtocolError(name + " cannot be read: " + error.getMessage());
    }
  }

  /** The rows of a batch, which fit its columns. */
  public static List<List<Object>> rows(DataBatch batch, OpaqueValues opaque) {
    List<List<Object>> rows;
    try {
      rows = RowReader.rows(batch.getRows().toByteArray(), opaque);
    } catch (RemoteProtocolError error) {
      throw new RemoteProtocolError(
          "rows of \"" + batch.getComponent() + "\", stream \"" + batch.getStream() + "\": "
              + error.getMessage());
    }
    long pairs = rows.size();
    if (batch.getRootCountsCount() > 0) {
      pairs = batch.getRootCountsList().stream().mapToLong(Integer::toUnsignedLong).sum();
    }
    int rootBytes = batch.getRoots().size();
    boolean none = rootBytes == 0 && batch.getRootCountsCount() == 0;
    boolean fits =
        rootBytes == batch.getEdges().size()
            && (none || rootBytes == 8 * pairs)
            && (batch.getRootCountsCount() == 0 || batch.getRootCountsCount() == rows.size());
    if (rows.isEmpty() || rows.size() != batch.getRowCount() || !fits) {
      throw new RemoteProtocolError(
          "DataBatch has " + rows.size() + " rows, row_count " + batch.getRowCount() + ", "
              + batch.getRootCountsCount() + " root counts, " + rootBytes + " bytes of roots and "
              + batch.getEdges().size() + " of edges; they do not fit");
    }
    return rows;
  }

  /** The outcomes of a payload, whose columns fit each other. */
  public static Outcomes outcomes(byte[] payload) {
    Outcomes outcomes = parse(Outcomes.parser(), payload, "Outcomes");
    int rootBytes = outcomes.getRoots().size();
    ByteString kinds = outcomes.getKinds();
    boolean fits =
        rootBytes % 8 == 0
            && outcomes.getXors().size() == rootBytes
            && (kinds.isEmpty() || kinds.size() == rootBytes / 8);
    for (int index = 0; fits && index < kinds.size(); index++) {
      fits = kinds.byteAt(index) >= 0 && kinds.byteAt(index) <= 2;
    }
    if (!fits) {
      throw new RemoteProtocolError(
          "Outcomes has " + kinds.size() + " kinds, " + rootBytes + " bytes of roots and "
              + outcomes.getXors().size() + " of XORs; they do not fit");
    }
    return outcomes;
  }
}
