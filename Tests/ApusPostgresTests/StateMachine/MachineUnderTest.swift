import ApusCore
import ApusData
import NIOCore
import Testing

@testable import ApusPostgres

/// A state machine whose requests are numbers, and what it has answered.
struct MachineUnderTest {
    typealias Machine = PostgresConnectionStateMachine<Int>

    var machine: Machine
    private var reader = MessageReader(maximumLength: 1 << 20)
    /// The answers in order, by request: the rows' first columns as text, or the code of the error.
    private(set) var answers: [(request: Int, outcome: Outcome)] = []
    private(set) var failure: AppError?
    private(set) var notifications: [PostgresNotification] = []

    enum Outcome: Equatable {
        case rows([SQLValue], affected: Int)
        case failed(StatusCode)
        case failedByConnection(StatusCode)
    }

    /// Creates a machine that is ready for requests.
    init(preparesStatements: Bool = true, capacity: Int = 256) {
        var options = Machine.Options()
        options.preparesStatements = preparesStatements
        options.preparedStatements = capacity
        machine = Machine(options)
        machine.start()
        receive(ServerMessage.authenticationOK + ServerMessage.ready())
        machine.output.clear()
    }

    init(_ options: Machine.Options, isConfidential: Bool) {
        machine = Machine(options)
        machine.isConfidential = isConfidential
        machine.start()
    }

    /// Takes what was sent since the last call.
    mutating func sent() -> [SentMessage] {
        defer { machine.output.clear() }
        return SentMessage.split(&machine.output)
    }

    /// The kinds of the messages that were sent since the last call, such as `PDBES`.
    mutating func sentKinds() -> String { String(sent().map(\.kind)) }

    @discardableResult
    mutating func receive(_ bytes: [UInt8]) -> [Machine.Action] {
        reader.append(ByteBuffer(bytes: bytes))
        var actions: [Machine.Action] = []
        do {
            var reader = reader
            defer { self.reader = reader }
            try reader.read { message in
                let action = machine.received(message)
                note(action)
                actions.append(action)
                return !machine.hasEnded
            }
        } catch {
            Issue.record(error)
        }
        return actions
    }

    mutating func loseConnection() { note(machine.fail(AppError(.unavailable, "Lost."))) }

    private mutating func note(_ action: Machine.Action) {
        switch action {
        case .none, .deriveKey, .started, .copyIn, .copyOut, .notice: break
        case .answered(let slot): note(slot)
        case .answeredGroup(let slots): for slot in slots { note(slot) }
        case .notification(let notification): notifications.append(notification)
        case .failed(let error, let waiting):
            failure = error
            for (request, error) in waiting { answers.append((request, .failedByConnection(error.code))) }
        }
    }

    /// Notes the outcome of each execution of a request.
    private mutating func note(_ slot: Slot<Int>) {
        guard let request = slot.waiting else { return }
        if let error = slot.failure {
            for _ in 0...slot.further.count { answers.append((request, .failed(error.code))) }
            return
        }
        var result = StatementResult()
        slot.takeResults(&result)
        for rows in result.group {
            let values = rows.map { (try? $0.get(0, as: SQLValue.self)) ?? .null }
            answers.append((request, .rows(values, affected: slot.affectedRows)))
        }
    }

    func outcome(_ request: Int) -> Outcome? { answers.first { $0.request == request }?.outcome }
}

extension PostgresConnectionStateMachine {
    /// Writes statements that share their fate.
    mutating func send(group: [(statement: PostgresStatement, values: [SQLValue])], token: Token) {
        let statements = group.map { SQL(template: SQL(text: "").template, values: $0.values) }
        send(group: statements, group.map(\.statement), token: token)
    }
}

/// The answers of a server to a query of one `int4` column.
enum Answer {
    static let columns = ServerMessage.columns([("n", 23)])

    static func prepared(parameters: [UInt32] = []) -> [UInt8] {
        ServerMessage.parseComplete + ServerMessage.parameters(parameters) + columns
    }

    /// Rows in text format.
    static func rows(_ texts: String...) -> [UInt8] {
        ServerMessage.bindComplete + texts.flatMap { ServerMessage.row([Array($0.utf8)]) }
            + ServerMessage.complete("SELECT \(texts.count)")
    }

    /// Rows in binary format.
    static func binaryRows(_ numbers: Int32...) -> [UInt8] {
        ServerMessage.bindComplete + numbers.flatMap { ServerMessage.row([ServerMessage.integer($0)]) }
            + ServerMessage.complete("SELECT \(numbers.count)")
    }
}
