import ApusCore
import ApusData
import NIOCore
import Testing

@testable import ApusPostgres

struct ConnectionTests {
    private let statement = PostgresStatement("SELECT 1")

    @Test func `A commit that the server answers with ROLLBACK is an error`() {
        var test = MachineUnderTest()
        test.machine.send(.commit, token: 1)
        #expect(test.sentKinds() == "Q")
        test.receive(ServerMessage.complete("ROLLBACK") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.aborted))
    }

    @Test func `A serialisation failure at the commit can be retried`() {
        var test = MachineUnderTest()
        test.machine.send(.commit, token: 1)
        test.receive(ServerMessage.error("40001") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.aborted))
    }

    @Test func `The outcome of a commit is unknown if the connection is lost`() {
        var test = MachineUnderTest()
        test.machine.send(.commit, token: 1)
        test.loseConnection()
        #expect(test.outcome(1) == .failedByConnection(.unknown))
    }

    @Test func `The outcome of a single write is unknown if the connection is lost, that of a read is not`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [], token: 1)
        test.machine.send(PostgresStatement("UPDATE t SET n = 1"), [], token: 2)
        test.machine.send(PostgresStatement("UPDATE t SET n = 2"), [], token: 3)
        // A group, of which one changes something.
        let write = PostgresStatement("DELETE FROM t")
        test.machine.send(group: [(statement, []), (write, [])], token: 4)
        test.machine.send(group: [(statement, []), (statement, [])], token: 5)
        test.loseConnection()
        #expect(test.outcome(1) == .failedByConnection(.unavailable))
        for request in 2...4 { #expect(test.outcome(request) == .failedByConnection(.unknown)) }
        #expect(test.outcome(5) == .failedByConnection(.unavailable))
    }

    @Test func `A write that has failed, or is part of a transaction, has no unknown outcome`() throws {
        let write = PostgresStatement("UPDATE t SET n = 1")
        var failed = MachineUnderTest()
        failed.machine.send(write, [], token: 1)
        failed.receive(ServerMessage.error("22012"))
        failed.loseConnection()
        #expect(failed.outcome(1) == .failedByConnection(.invalidArgument))
        var first = MachineUnderTest()
        first.machine.sendFirst(PostgresStatement("BEGIN"))
        first.machine.send(write, [], token: 1)
        first.loseConnection()
        #expect(first.outcome(1) == .failedByConnection(.unavailable))
        var later = MachineUnderTest()
        later.machine.send(statement, [], token: 1)
        later.receive(Answer.prepared() + Answer.rows() + ServerMessage.ready(.open))
        later.machine.send(write, [], token: 2)
        later.loseConnection()
        #expect(later.outcome(2) == .failedByConnection(.unavailable))
    }

    @Test func `A commit that has failed before the connection is lost is no unknown outcome`() {
        var test = MachineUnderTest()
        test.machine.send(.commit, token: 1)
        test.receive(ServerMessage.error("40001"))
        test.loseConnection()
        #expect(test.outcome(1) == .failedByConnection(.aborted))
    }

    @Test func `A commit during which the server ends the connection has an unknown outcome`() {
        var test = MachineUnderTest()
        test.machine.send(.commit, token: 1)
        test.receive(ServerMessage.error("57P01", severity: "FATAL"))
        #expect(test.outcome(1) == .failedByConnection(.unknown))
    }

    @Test func `A commit that is written together with a statement that fails is an error`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [], token: 1)
        test.machine.send(.commit, token: 2)
        #expect(test.sentKinds() == "PDBESQ")
        test.receive(ServerMessage.error("23505") + ServerMessage.ready(.failed))
        test.receive(ServerMessage.complete("ROLLBACK") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.alreadyExists))
        #expect(test.outcome(2) == .failed(.aborted))
    }

    @Test func `A transaction and its settings begin in one write with the first statement`() throws {
        var test = MachineUnderTest()
        test.machine.sendFirst(PostgresStatement("BEGIN"))
        test.machine.sendFirst(PostgresStatement("SET LOCAL lock_timeout = '2s'"))
        test.machine.send(statement, [], token: 1)
        #expect(test.sentKinds() == "PBEPBEPDBES")
        for tag in ["BEGIN", "SET"] {
            test.receive(ServerMessage.parseComplete + ServerMessage.bindComplete + ServerMessage.complete(tag))
        }
        test.receive(Answer.prepared() + Answer.rows("1") + ServerMessage.ready(.open))
        #expect(test.outcome(1) == .rows([.integer(1)], affected: 0))
        #expect(test.machine.unansweredCount == 0 && test.machine.unansweredBytes == 0)
    }

    @Test func `A write in a transaction that only reads does not condemn the connection`() throws {
        var test = MachineUnderTest()
        for isReadOnly in [true, false] {
            test.machine.isTransactionReadOnly = isReadOnly
            test.machine.send(statement, [], token: isReadOnly ? 1 : 2)
            test.receive(ServerMessage.error("25006") + ServerMessage.ready(.failed))
            #expect(test.machine.isCondemned == !isReadOnly)
        }
        #expect(test.outcome(1) == .failed(.failedPrecondition))
        #expect(test.outcome(2) == .failed(.unavailable))
    }

    @Test func `A transaction begins in one write with its first statement`() throws {
        var test = MachineUnderTest()
        test.machine.sendFirst(PostgresStatement("BEGIN"))
        test.machine.send(statement, [], token: 1)
        #expect(test.sentKinds() == "PBEPDBES")
        test.receive(ServerMessage.parseComplete + ServerMessage.bindComplete + ServerMessage.complete("BEGIN"))
        test.receive(Answer.prepared() + Answer.rows("1") + ServerMessage.ready(.open))
        #expect(test.outcome(1) == .rows([.integer(1)], affected: 0))
        #expect(test.machine.status == .open && test.machine.unansweredCount == 0 && test.machine.unansweredBytes == 0)
    }

    @Test func `If a transaction cannot begin, its first statement fails and is not prepared`() throws {
        var test = MachineUnderTest()
        test.machine.sendFirst(PostgresStatement("BEGIN"))
        test.machine.send(statement, [], token: 1)
        _ = test.sent()
        test.receive(ServerMessage.error("57014") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.cancelled))
        test.machine.send(statement, [], token: 2)
        #expect(test.sentKinds() == "PDBES")
    }

    @Test func `When the connection is lost, everybody who waits is told`() throws {
        var test = MachineUnderTest()
        for token in 1...3 { test.machine.send(statement, [], token: token) }
        test.machine.abandon { $0 == 2 }
        test.receive(ServerMessage.parseComplete)
        test.loseConnection()
        #expect(test.answers.map(\.request) == [1, 3])
        #expect(test.outcome(1) == .failedByConnection(.unavailable))
        #expect(test.machine.hasEnded && test.machine.unansweredCount == 0)
        test.loseConnection()
        #expect(test.answers.count == 2)
    }

    @Test func `A fatal error ends the connection`() throws {
        var test = MachineUnderTest()
        for token in 1...2 { test.machine.send(statement, [], token: token) }
        test.receive(ServerMessage.error("57P01", severity: "FATAL"))
        #expect(test.machine.hasEnded && test.failure?.code == .unavailable)
        #expect(test.outcome(1) == .failedByConnection(.unavailable))
        #expect(test.outcome(2) == .failedByConnection(.unavailable))
    }

    @Test func `A fatal error between requests ends the connection`() {
        var test = MachineUnderTest()
        test.receive(ServerMessage.error("57P01", severity: "FATAL"))
        #expect(test.failure?.code == .unavailable)
    }

    @Test func `A connection to a server that has become a standby is not used again`() throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [], token: 1)
        test.receive(
            Answer.prepared() + ServerMessage.bindComplete + ServerMessage.error("25006") + ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.unavailable))
        #expect(test.machine.isCondemned && !test.machine.hasEnded)
    }

    /// Messages that no server sends at this point. Any of them could give an answer to the wrong request.
    @Test(arguments: [
        ServerMessage.ready(), ServerMessage.row([nil]), ServerMessage.bindComplete, ServerMessage.complete("SELECT 1"),
        ServerMessage.error("XX000"), ServerMessage.bytes("?"), ServerMessage.bytes("G", [0, 0, 0]),
        ServerMessage.authenticationOK, Answer.columns,
    ])
    func `A message without a request ends the connection`(message: [UInt8]) {
        var test = MachineUnderTest()
        test.receive(message)
        #expect(test.failure?.code == .unavailable)
    }

    @Test(arguments: [
        // ReadyForQuery before the answer is complete.
        ServerMessage.ready(), Answer.prepared() + ServerMessage.bindComplete + ServerMessage.ready(),
        // Rows or the end before the statement is bound.
        Answer.prepared() + ServerMessage.row([nil]), Answer.prepared() + ServerMessage.complete("SELECT 0"),
        // Twice what comes once.
        ServerMessage.parseComplete + ServerMessage.parseComplete,
        Answer.prepared() + ServerMessage.bindComplete + ServerMessage.bindComplete,
        Answer.prepared() + Answer.rows() + ServerMessage.complete("SELECT 0"),
        Answer.prepared() + Answer.rows("1") + ServerMessage.row([nil]),
        // A row with too few columns, and one that is cut short.
        Answer.prepared() + ServerMessage.bindComplete + ServerMessage.row([]),
        Answer.prepared() + ServerMessage.bindComplete + ServerMessage.bytes("D", [0, 1, 0, 0, 0, 9, 1]),
        Answer.prepared() + ServerMessage.bindComplete + ServerMessage.bytes("D", [0]),
        // COPY without having asked for it.
        Answer.prepared() + ServerMessage.bindComplete + ServerMessage.bytes("G", [0, 0, 0]),
        ServerMessage.error("22012") + ServerMessage.error("22012"),
        ServerMessage.error("22012") + ServerMessage.complete("SELECT 1"),
        Answer.prepared() + Answer.rows("1") + ServerMessage.bytes("Z", [0x3F]),
    ])
    func `A violation of the protocol ends the connection, and who waits is told`(messages: [UInt8]) throws {
        var test = MachineUnderTest()
        test.machine.send(statement, [], token: 1)
        test.machine.send(statement, [], token: 2)
        test.receive(messages)
        #expect(test.machine.hasEnded)
        #expect(
            test.outcome(1) == .failedByConnection(.unavailable)
                || test.outcome(1) == .failedByConnection(.invalidArgument))
        #expect(test.outcome(2) == .failedByConnection(.unavailable))
    }

    @Test func `More changed rows than an integer can count end the connection`() {
        var test = MachineUnderTest()
        test.machine.send(.simple("SELECT 1"), token: 1)
        for _ in 0..<2 { test.receive(ServerMessage.complete("INSERT 0 9000000000000000000")) }
        #expect(test.outcome(1) == .failedByConnection(.unavailable))
    }

    @Test func `Notifications, notices and parameters may come at any time`() throws {
        var test = MachineUnderTest()
        let notification = ServerMessage.bytes(
            "A", ServerMessage.integer(UInt32(9)) + ServerMessage.string("ch") + ServerMessage.string("payload"))
        let parameter = ServerMessage.bytes("S", ServerMessage.string("TimeZone") + ServerMessage.string("UTC"))
        let notice = ServerMessage.bytes("N", Array(ServerMessage.error("01000", severity: "NOTICE").dropFirst(5)))
        let between = notification + parameter + notice
        test.receive(between)
        test.machine.send(statement, [], token: 1)
        let answer = [
            ServerMessage.parseComplete, ServerMessage.parameters([]), Answer.columns, ServerMessage.bindComplete,
            ServerMessage.row([Array("1".utf8)]), ServerMessage.complete("SELECT 1"), ServerMessage.ready(),
        ]
        for message in answer { test.receive(message + between) }
        #expect(test.outcome(1) == .rows([.integer(1)], affected: 0))
        #expect(test.notifications.count == 8)
        #expect(test.notifications.first == PostgresNotification(channel: "ch", payload: "payload", process: 9))
        #expect(test.machine.parameters["TimeZone"] == "UTC")
    }

    // MARK: COPY

    @Test func `Data is sent when the server asks for it`() throws {
        var test = MachineUnderTest()
        test.machine.send(.copyIn("COPY t FROM STDIN"), token: 1)
        #expect(test.sentKinds() == "Q")
        #expect(test.machine.copyData([1]) == false)
        test.receive(ServerMessage.bytes("G", [0, 0, 0]))
        #expect(test.machine.copyData([1, 2]) == true)
        test.machine.endCopyIn()
        #expect(test.machine.copyData([3]) == false)
        #expect(test.sent() == [SentMessage(kind: "d", body: [1, 2]), SentMessage(kind: "c", body: [])])
        test.receive(ServerMessage.complete("COPY 2") + ServerMessage.ready())
        #expect(test.outcome(1) == .rows([], affected: 2))
    }

    @Test func `A COPY is under way from when it is written until it is answered or its task is gone`() {
        var test = MachineUnderTest()
        for token in 1...3 {
            #expect(!test.machine.isCopying)
            test.machine.send(token == 2 ? .copyOut("COPY t TO STDOUT") : .copyIn("COPY t FROM STDIN"), token: token)
            #expect(test.machine.isCopying)
            switch token {
            case 1:
                test.receive(ServerMessage.bytes("G", [0, 0, 0]))
                #expect(test.machine.isCopying)
                test.machine.endCopyIn()
                test.receive(ServerMessage.complete("COPY 0") + ServerMessage.ready())
            case 2:
                test.receive(ServerMessage.bytes("H", [0, 0, 0]))
                test.machine.abandon { $0 == token }
                #expect(!test.machine.isCopying)
                test.receive(ServerMessage.error("57014") + ServerMessage.ready())
            default: test.receive(ServerMessage.error("42P01") + ServerMessage.ready())
            }
        }
        #expect(!test.machine.isCopying && test.machine.copies == 0)
    }

    @Test func `After an error the server takes no more data`() throws {
        var test = MachineUnderTest()
        test.machine.send(.copyIn("COPY t FROM STDIN"), token: 1)
        test.receive(ServerMessage.bytes("G", [0, 0, 0]) + ServerMessage.error("22P02"))
        #expect(test.machine.copyData([1]) == false)
        test.receive(ServerMessage.ready())
        #expect(test.outcome(1) == .failed(.invalidArgument))
    }

    @Test func `Data of the server is passed on in order`() {
        var test = MachineUnderTest()
        test.machine.send(.copyOut("COPY t TO STDOUT"), token: 1)
        var data: [UInt8] = []
        let messages =
            ServerMessage.bytes("H", [0, 0, 0]) + ServerMessage.bytes("d", [1]) + ServerMessage.bytes("d", [2])
        for action in test.receive(messages) {
            if case .copyOut(1, let bytes) = action { data += bytes.array }
        }
        test.receive(ServerMessage.bytes("c") + ServerMessage.complete("COPY 2") + ServerMessage.ready())
        #expect(data == [1, 2])
        #expect(test.outcome(1) == .rows([], affected: 2))
    }
}
