import NIOCore

/// Writes the messages that a client sends (PostgreSQL documentation, chapter "Message Formats").
enum FrontendMessage {
    /// Begins a connection, with protocol version 3.0.
    static func startup(_ parameters: [(name: String, value: String)], to output: inout ByteBuffer) {
        framed(&output) { output in
            output.writeInteger(UInt32(3 << 16))
            for (name, value) in parameters {
                output.writeNullTerminatedString(name)
                output.writeNullTerminatedString(value)
            }
            output.writeInteger(UInt8(0))
        }
    }

    /// Asks for TLS. The server answers with a single byte.
    static func tlsRequest(to output: inout ByteBuffer) {
        output.writeInteger(UInt32(8))
        output.writeInteger(UInt32(80_877_103))
    }

    /// Cancels what another connection runs. Sent on a connection of its own.
    static func cancelRequest(_ key: BackendKey, to output: inout ByteBuffer) {
        output.writeInteger(UInt32(16))
        output.writeInteger(UInt32(80_877_102))
        output.writeInteger(key.process)
        output.writeInteger(key.secret)
    }

    static func password(_ bytes: some Sequence<UInt8>, to output: inout ByteBuffer) {
        message("p", to: &output) { output in
            output.writeBytes(bytes)
            output.writeInteger(UInt8(0))
        }
    }

    static func saslInitialResponse(_ mechanism: String, _ response: String, to output: inout ByteBuffer) {
        message("p", to: &output) { output in
            output.writeNullTerminatedString(mechanism)
            output.writeInteger(UInt32(response.utf8.count))
            output.writeString(response)
        }
    }

    static func saslResponse(_ response: String, to output: inout ByteBuffer) {
        message("p", to: &output) { $0.writeString(response) }
    }

    /// Runs SQL text by the simple protocol, which ends with ReadyForQuery.
    static func query(_ sql: String, to output: inout ByteBuffer) {
        message("Q", to: &output) { $0.writeNullTerminatedString(sql) }
    }

    /// - Parameter types: The types of the parameters, as far as they are to be declared; 0 leaves one to the server.
    static func parse(_ name: String, _ sql: String, types: [UInt32], to output: inout ByteBuffer) {
        message("P", to: &output) { output in
            output.writeNullTerminatedString(name)
            output.writeNullTerminatedString(sql)
            output.writeInteger(UInt16(truncatingIfNeeded: types.count))
            for type in types { output.writeInteger(type) }
        }
    }

    static func describeStatement(_ name: String, to output: inout ByteBuffer) {
        message("D", to: &output) { output in
            output.writeInteger(UInt8(ascii: "S"))
            output.writeNullTerminatedString(name)
        }
    }

    static func closeStatement(_ name: String, to output: inout ByteBuffer) {
        message("C", to: &output) { output in
            output.writeInteger(UInt8(ascii: "S"))
            output.writeNullTerminatedString(name)
        }
    }

    /// The beginning of a message that binds values to a statement, to run it in the unnamed portal. The length, after the
    /// type, is not filled in.
    static func bindStart(_ name: String) -> [UInt8] { [UInt8(ascii: "B"), 0, 0, 0, 0, 0] + name.utf8 + [0] }

    /// Executes the unnamed portal to its end: the type, the length 9, the empty name, and 0 for all rows.
    static let execute: [UInt8] = [UInt8(ascii: "E"), 0, 0, 0, 9, 0, 0, 0, 0, 0]

    static let sync: [UInt8] = [UInt8(ascii: "S"), 0, 0, 0, 4]

    static func terminate(to output: inout ByteBuffer) { output.writeMultipleIntegers(UInt8(ascii: "X"), UInt32(4)) }

    static func copyData(_ bytes: some Collection<UInt8>, to output: inout ByteBuffer) {
        output.writeMultipleIntegers(UInt8(ascii: "d"), UInt32(bytes.count + 4))
        output.writeBytes(bytes)
    }

    static func copyDone(to output: inout ByteBuffer) { output.writeMultipleIntegers(UInt8(ascii: "c"), UInt32(4)) }

    static func copyFail(_ reason: String, to output: inout ByteBuffer) {
        message("f", to: &output) { $0.writeNullTerminatedString(reason) }
    }

    /// Writes a message with its type and its length.
    static func message(_ kind: Unicode.Scalar, to output: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void) {
        output.writeInteger(UInt8(ascii: kind))
        framed(&output, body)
    }

    /// Writes the length of a message, which includes itself, and its body.
    private static func framed(_ output: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void) {
        let start = output.writerIndex
        output.writeInteger(UInt32(0))
        body(&output)
        output.setInteger(UInt32(output.writerIndex - start), at: start)
    }
}

/// What identifies a server process to cancel requests.
struct BackendKey: Equatable, Sendable {
    let process: UInt32
    let secret: UInt32
}
