import Testing

@testable import ApusPostgres

struct SubscriptionsTests {
    @Test func `A channel is listened to once, and given up when nobody is left`() {
        var subscriptions = Subscriptions<String>()
        let (first, second) = (subscriptions.add("a", "1"), subscriptions.add("a", "2"))
        #expect(subscriptions.change().listen == ["a"])
        #expect(subscriptions.change().listen == [])
        subscriptions.remove(first)
        #expect(subscriptions.change().unlisten == [])
        subscriptions.remove(second)
        #expect(subscriptions.change().unlisten == ["a"])
        #expect(subscriptions.isEmpty)
    }

    @Test func `Names are compared byte by byte`() {
        var subscriptions = Subscriptions<String>()
        _ = subscriptions.add("\u{e9}", "composed")
        _ = subscriptions.add("e\u{301}", "decomposed")
        #expect(subscriptions.change().listen.count == 2)
        #expect(subscriptions.streams(of: "\u{e9}") == ["composed"])
    }

    @Test func `A subscriber is told once that it listens`() {
        var subscriptions = Subscriptions<String>()
        _ = subscriptions.add("a", "1")
        let sent = subscriptions.change().sent
        #expect(subscriptions.confirmed(sent) == ["1"])
        #expect(subscriptions.confirmed(sent) == [])
        // One that comes later to the same channel is told when the server has answered it.
        _ = subscriptions.add("a", "2")
        let next = subscriptions.change().sent
        #expect(subscriptions.confirmed(next) == ["2"])
    }

    @Test func `The answer to one LISTEN says nothing about a later one`() {
        var subscriptions = Subscriptions<String>()
        _ = subscriptions.add("a", "1")
        let first = subscriptions.change().sent
        _ = subscriptions.add("b", "2")
        let second = subscriptions.change().sent
        // What is sent to `b` is still lost. Whoever read it again now would miss that.
        #expect(subscriptions.confirmed(first) == ["1"])
        #expect(subscriptions.confirmed(second) == ["2"])
    }

    @Test func `A channel that is given up and taken up again is listened to anew`() {
        var subscriptions = Subscriptions<String>()
        let first = subscriptions.add("a", "1")
        let early = subscriptions.change().sent
        subscriptions.remove(first)
        #expect(subscriptions.change().unlisten == ["a"])
        _ = subscriptions.add("a", "2")
        let late = subscriptions.change()
        #expect(late.listen == ["a"])
        #expect(subscriptions.confirmed(early) == [])
        #expect(subscriptions.confirmed(late.sent) == ["2"])
    }

    @Test func `After the connection was lost, everybody is told again`() {
        var subscriptions = Subscriptions<String>()
        _ = subscriptions.add("a", "1")
        let old = subscriptions.change().sent
        #expect(subscriptions.confirmed(old) == ["1"])
        subscriptions.connectionLost()
        let new = subscriptions.change()
        #expect(new.listen == ["a"])
        #expect(subscriptions.confirmed(old) == [])
        #expect(subscriptions.confirmed(new.sent) == ["1"])
    }
}
